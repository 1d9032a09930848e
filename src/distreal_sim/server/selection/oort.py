"""Oort: clients of high statistical utility that are fast enough.

Lai, Zhu, Madhyastha, Chowdhury: Oort: Efficient Federated Learning via Guided Participant Selection. OSDI
2021, 19-35. Score of a client that was heard of: its utility, clipped and scaled to [0, 1], plus
sqrt(0.1 ln(number) / number of its last report), times (T / t)^penalty if its time t exceeds the preferred T.
T is a percentile of the known times, which the pacer raises when the utility that selected clients bring
stops changing. Most places go to scores, drawn by them among those near the best; a share, which falls, to
clients that were never heard of, fast ones first. Constants are those of the official code or, for `clip`,
`percentile` and `pacer_step`, of its copy in FedScale; the official ones are 0.95, none and 10.

Differs from the paper: utility is examples x mean loss, as the server is told mean losses, not their squares;
the preferred time starts at `percentile`, where the official code starts with none; the time of a client that
was never heard of is what it answers when asked. There is no blacklist (our choice).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.client.messages import Arrays, Facts
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._records import Records
from distreal_sim.server.selection._walk import draw, draw_by_weight, first

COLUMNS = ("utility", "time_s", "last")
"""Of each client: utility of its last update, seconds of its last job, and number of the step of that."""


class Oort(Selection):
    """Utility times speed, with exploration and a pacer."""

    exploration: float = Field(0.9, ge=0, le=1, description="share of unheard-of clients at first")
    exploration_decay: float = Field(0.98, gt=0, le=1, description="factor of that share per round")
    exploration_floor: float = Field(0.2, ge=0, le=1, description="least share of unheard-of clients")
    percentile: float = Field(30, ge=0, le=100, description="percentile of times that is preferred, at first")
    pacer_rounds: int = Field(
        20, ge=1, description="rounds of each of the two windows that the pacer compares"
    )
    pacer_step: float = Field(5, ge=0, le=100, description="step of the percentile")
    penalty: float = Field(2.0, ge=0, allow_inf_nan=False, description="exponent of the penalty of slow ones")
    clip: float = Field(0.9, gt=0, le=1, description="quantile at which utilities are clipped")
    cutoff: float = Field(0.7, ge=0, le=1, description="share of the k-th best score that is still drawn")

    remembers: ClassVar[bool] = True

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        records = Records(memory, COLUMNS)
        known = np.array(sorted(records.of), np.int64)
        known = known[pool.there(known)] if len(known) else known
        n_old = min(len(known), self.n_exploited(pool.size, pool.number))
        chosen = self._best(pool, records, known.tolist(), n_old, self._preferred_s(records, memory))

        def new(client_ids: np.ndarray) -> np.ndarray:
            unheard = np.array([client_id not in records.of for client_id in client_ids.tolist()], bool)
            return unheard & pool.there(client_ids)

        wanted = pool.size - len(chosen)
        asked = np.array(draw(pool.n_clients, 5 * wanted, pool.rngs("explored"), new), np.int64)
        fast = np.argsort(pool.expected_s(asked), kind="stable")[:wanted] if len(asked) else asked
        chosen += asked[fast].tolist()
        rest = [client_id for client_id in known.tolist() if client_id not in chosen]
        chosen += self._best(pool, records, rest, pool.size - len(chosen), math.inf)
        return sorted(chosen), memory

    def n_exploited(self, size: int, number: int) -> int:
        """Clients of a selection that were heard of before, if there are as many."""
        share = max(self.exploration_floor, self.exploration * self.exploration_decay ** (number - 1))
        return math.floor(size * (1 - share) + 1e-9)

    def scores(self, records: Records, ids: Sequence[int], number: int, preferred_s: float) -> np.ndarray:
        """(m,) scores of clients that were heard of."""
        utility, time_s = (records.values(name, ids, 0.0) for name in ("utility", "time_s"))
        top, least = float(np.quantile(utility, self.clip)), 0.999 * float(utility.min())
        scaled = (np.minimum(utility, top) - least) / max(top - least, 1e-12)
        age = records.values("last", ids, 1.0)
        score: np.ndarray = scaled + np.sqrt(0.1 * math.log(max(number, 1)) / age)
        if math.isinf(preferred_s):
            return score
        slow = time_s > preferred_s
        factor = (preferred_s / np.where(slow, time_s, 1.0)) ** self.penalty
        penalised: np.ndarray = np.where(slow, score * factor, score)
        return penalised

    def _best(
        self, pool: Pool, records: Records, ids: Sequence[int], n: int, preferred_s: float
    ) -> list[int]:
        """n of the clients, drawn by their scores among those within the cut-off of the n-th best."""
        if n <= 0 or not ids:
            return []
        score = self.scores(records, ids, pool.number, preferred_s)
        limit = self.cutoff * np.sort(score)[-min(n, len(score))]
        weights = np.where(score >= limit, np.maximum(score, 1e-12), 0.0)
        drawn = draw_by_weight(weights, pool.rngs("exploited", n))
        return [ids[i] for i in first(drawn, n, lambda found: np.ones(len(found), bool))]

    def _preferred_s(self, records: Records, memory: Arrays) -> float:
        percentile = float(memory.get("percentile", np.array(self.percentile)))
        times = [own["time_s"] for own in records.of.values()]
        return math.inf if percentile >= 100 or not times else float(np.percentile(times, percentile))

    def learn(self, memory: Arrays, number: int, facts: Sequence[Facts]) -> Arrays:
        records, gained = Records(memory, COLUMNS), 0.0
        for fact in facts:
            known = records.of.get(fact.client_id, {"utility": 0.0})
            utility = known["utility"]
            if not math.isnan(fact.train_loss):
                utility = fact.n_examples * fact.train_loss
            gained += utility
            records.of[fact.client_id] = {"utility": utility, "time_s": fact.sim_s, "last": float(number)}
        gains = np.append(memory.get("gains", np.zeros(0)), gained)[-2 * self.pacer_rounds :]
        percentile = float(memory.get("percentile", np.array(self.percentile)))
        paced = self.paced(percentile, number, gains)
        return {**records.arrays(), "gains": gains, "percentile": np.array(paced)}

    def paced(self, percentile: float, number: int, gains: np.ndarray) -> float:
        """The percentile after a round; gains: utility gained in each of the last rounds."""
        n = self.pacer_rounds
        if number % n or len(gains) < 2 * n:
            return percentile
        before, now = float(gains[:n].sum()), float(gains[n:].sum())
        if abs(now - before) <= 0.1 * before:
            return min(100.0, percentile + self.pacer_step)
        if abs(now - before) >= 5 * before:
            return max(self.pacer_step, percentile - self.pacer_step)
        return percentile
