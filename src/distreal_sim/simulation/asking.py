"""Questions of a selection to clients: for the loss, or the gradient, of the present model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from distreal_sim.client.columns import ASKED, CHARGED
from distreal_sim.client.gradients import gradient_of
from distreal_sim.client.messages import Arrays, Facts, Job, Round, Update
from distreal_sim.client.task import Task
from distreal_sim.simulation.cut import cut_short


class Asking:
    """Asks clients before a round, and knows afterwards what that cost.

    task, train: the clients' task and how jobs are done; now: the round without its cohort; arrays: the
    present model. delay_s: seconds until the last answer, or until the server has stopped waiting.
    """

    def __init__(
        self, task: Task, train: Callable[[Sequence[Job]], Iterator[Update]], now: Round, arrays: Arrays
    ) -> None:
        self._task, self._train, self._now, self._arrays = task, train, now, arrays
        self._facts: dict[int, Facts] = {}
        self.delay_s = 0.0

    def losses(self, client_ids: np.ndarray, n_batches: int, wait_s: float) -> np.ndarray:
        """See `selection.Losses`."""
        answers = self._ask(client_ids, "loss", n_batches, wait_s)
        return np.array([-math.inf if one is None else one.facts.train_loss for one in answers], float)

    def gradients(self, client_ids: np.ndarray, wait_s: float) -> list[np.ndarray | None]:
        """See `selection.Gradients`."""
        found: list[np.ndarray | None] = []
        for update in self._ask(client_ids, "gradient", 0, wait_s):
            own = {} if update is None else gradient_of(update)
            found.append(np.concatenate([own[n].ravel() for n in sorted(own)], dtype=float) if own else None)
        return found

    def _ask(self, client_ids: np.ndarray, asks: str, n_batches: int, wait_s: float) -> list[Update | None]:
        """The answers, None where there was none in time."""
        now = replace(self._now, n_selected=len(client_ids), steps=n_batches, asks=asks)
        jobs = [Job(int(client_id), now, self._arrays) for client_id in client_ids]
        found: list[Update | None] = []
        for job, update in zip(jobs, self._train(jobs), strict=True):
            facts, in_time = update.facts, update.is_merged and update.facts.sim_s <= wait_s
            if not in_time:
                facts = cut_short(self._task, job, update, wait_s)
            self._facts[job.client_id] = _asked(facts)
            self.delay_s = max(self.delay_s, facts.sim_s)
            found.append(update if in_time else None)
        return found

    def joined(self, facts: Sequence[Facts]) -> list[Facts]:
        """The facts of a round with what its questions cost, by client; some were only asked.

        A client that trains downloads the model once.
        """
        left = dict(self._facts)
        found = [_both(own, left.pop(own.client_id, None)) for own in facts]
        return sorted([*found, *left.values()], key=lambda own: own.client_id) if self._facts else list(facts)


def _asked(facts: Facts) -> Facts:
    """The facts of a client that was asked."""
    metrics = {**facts.metrics, ASKED.name: float(facts.macs)}
    return replace(
        facts,
        status="asked",
        n_steps_planned=0,
        n_steps_done=0,
        mean_keep_rate=math.nan,
        train_loss=math.nan,
        metrics=metrics,
    )


def _both(trained: Facts, asked: Facts | None) -> Facts:
    """The facts of a client that was asked and then trained."""
    if asked is None:
        return trained
    metrics = {**trained.metrics, ASKED.name: asked.metrics[ASKED.name]}
    if CHARGED.name in metrics:
        metrics[CHARGED.name] += asked.metrics[CHARGED.name]
    return replace(
        trained,
        macs=trained.macs + asked.macs,
        download_bytes=max(trained.download_bytes, asked.download_bytes),
        upload_bytes=trained.upload_bytes + asked.upload_bytes,
        sim_s=max(trained.sim_s, asked.sim_s),
        metrics=metrics,
    )
