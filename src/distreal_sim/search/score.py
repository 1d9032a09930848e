"""The score of a candidate: how far the loss fell in its short trainings, and after fewer of their steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """drops: (snapshots, repeats) loss before minus loss after each short training, nats; in a fleet the loss
    without the weak clients minus that with them.

    fewer: (share of the steps, score after them), shares growing, all below 1; with the same trainings.
    """

    drops: tuple[tuple[float, ...], ...]
    fewer: tuple[tuple[float, Score], ...] = ()

    @property
    def mean(self) -> float:
        """Convergence speed: the mean drop."""
        return float(np.mean(self.drops))

    @property
    def error(self) -> float:
        """Standard error of the mean over the seeds of the repeats; the snapshots are given."""
        spread = np.var(self.drops, axis=1, ddof=1) / len(self.drops[0])
        return float(math.sqrt(spread.sum()) / len(self.drops))

    @property
    def by_share(self) -> dict[float, Score]:
        """The scores after every measured share of the steps, 1 the last."""
        return {**dict(self.fewer), 1.0: Score(self.drops)}

    def after(self, share: float) -> Score:
        """The score after a share of the steps, in (0, 1].

        Where it was not measured, that of a client which takes no more steps than do good, as in
        `worth.fewer_steps`: on a straight line from the best measured share before it, or no progress at no
        step, as high at the share before, to the next one; level where that is worse.
        """
        measured = self.by_share
        if share in measured:
            return measured[share]
        last, high = next((s, score) for s, score in measured.items() if s > share)
        before = [(s, score) for s, score in measured.items() if s < share]
        first = max((s for s, _ in before), default=0.0)
        nothing = Score(tuple((0.0,) * len(drops) for drops in self.drops))
        best = max([nothing, *(score for _, score in before)], key=lambda score: score.mean)
        if high.mean <= best.mean:
            return best
        low = np.array(best.drops)
        drops = low + (np.array(high.drops) - low) * (share - first) / (last - first)
        return Score(tuple(tuple(of_snapshot) for of_snapshot in drops.tolist()))
