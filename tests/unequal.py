"""Synthetic clients that differ as much as one likes, and methods whose clients do unequal work."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Job, Round, State
from distreal_sim.client.task import Task
from distreal_sim.data.datasets import Data, Dataset, Examples
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.methods.folb import Folb


class Synthetic(Dataset):
    """Data of 60 features and 10 classes as in FedProx (Li et al., MLSys 2020, arXiv 1812.06127).

    y = argmax(W_k x + b_k), x ~ N(v_k, Sigma), Sigma_jj = j^-1.2, W_k, b_k ~ N(u_k, 1), v_k ~ N(B_k, 1),
    u_k ~ N(0, alpha), B_k ~ N(0, beta). iid: one W and b, and v = 0, for all clients.
    """

    alpha: float | Literal["iid"] = 0.0
    beta: float = 0.0
    clients: int = 30
    draw: int = 1

    def load(self) -> Data:
        rng = np.random.default_rng(self.draw)
        spread = np.arange(1, 61) ** -0.6
        shared = rng.normal(size=(60, 10)), rng.normal(size=10)
        x, y, writers = [], [], []
        for k in range(self.clients):
            n = int(min(rng.lognormal(4.0, 1.0), 200)) + 30
            if self.alpha == "iid":
                (w, b), v = shared, np.zeros(60)
            else:
                u = rng.normal(0, np.sqrt(self.alpha))
                w, b = rng.normal(u, 1, (60, 10)), rng.normal(u, 1, 10)
                v = rng.normal(rng.normal(0, np.sqrt(self.beta)), 1, 60)
            x.append((v + rng.normal(size=(n, 60)) * spread).astype(np.float32))
            y.append((x[-1] @ w + b).argmax(axis=1))
            writers.append(np.full(n, k))
        every = Examples(np.concatenate(x), np.concatenate(y))
        return Data(every, every, 10, writers=np.concatenate(writers))


def unequal(task: Task, jobs: list[Job], now: Round) -> list[Job]:
    """The jobs with 1 to 5 local epochs each, drawn by the seed, the round and the client."""
    drawn = [int(Rngs(task.seed, (now.key, job.client_id))("epochs").integers(1, 6)) for job in jobs]
    return [replace(job, round=replace(job.round, epochs=n)) for job, n in zip(jobs, drawn, strict=True)]


class UnequalFedAvg(FedAvg):
    """FedAvg with unequal epochs."""

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        return unequal(task, super().plan(task, state, now), now)


class UnequalFolb(Folb):
    """FOLB with unequal epochs."""

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        return unequal(task, super().plan(task, state, now), now)
