"""FedAvg: every client trains the full network.

McMahan, Moore, Ramage, Hampson, Agueera y Arcas: Communication-Efficient Learning of Deep Networks from
Decentralized Data. AISTATS 2017, PMLR 54, 1273-1282.

Differs from the paper: rounds have a deadline, and the experiment's `overrun` says what becomes of a client
that misses it (our choice). `partial`, the default, merges the finished mini-batches; `drop` is the usual
FedAvg with a deadline; `wait` lengthens the round, so that everybody does all epochs, as in the paper.
"""

from __future__ import annotations

from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Always, whole_network


class FedAvg(Method):
    """Full-network SGD on the clients, example-weighted mean on the server."""

    def levels(self, task: Task) -> Always:
        return whole_network(task)
