"""FedAvg: every client trains the full network.

McMahan, Moore, Ramage, Hampson, Agueera y Arcas: Communication-Efficient Learning of Deep Networks from
Decentralized Data. AISTATS 2017, PMLR 54, 1273-1282.

Differs from the paper: rounds have a deadline, and `overrun` says what becomes of a client that misses it
(our choice). `drop` is the usual FedAvg with a deadline, `partial` keeps the finished mini-batches, `wait`
lengthens the round.
"""

from __future__ import annotations

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.client.train import train
from distreal_sim.devices.capacity import Capacity
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Ladder, whole_network


class FedAvg(Method):
    """Full-network SGD on the clients, example-weighted mean on the server."""

    def train(self, task: Task, job: Job, capacity: Capacity, rngs: Rngs) -> Update:
        full = task.structure.full_counts()
        return train(task, job, capacity, rngs, choose=lambda moment: full, overrun=self.overrun)

    def ladder(self, task: Task, arrays: Arrays) -> Ladder:
        return whole_network(task, arrays)
