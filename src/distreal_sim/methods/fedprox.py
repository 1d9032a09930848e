"""FedProx: full-network training with a proximal term; a straggler's partial work counts.

Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: Federated Optimization in Heterogeneous Networks. MLSys 2020,
arXiv 1812.06127.

Paper: a client minimises its loss + mu / 2 * |w - w_t|^2, and the server takes in what stragglers have done,
where FedAvg drops them. Algorithm 2 (quoted from memory) draws clients with their shares of the examples as
probabilities and averages the returned models with equal weights.

Differs from the paper: clients are drawn uniformly and their models weighted by their numbers of examples, as
in the authors' code (from memory); `merge.weight: clients` averages with equal weights. Who is a straggler,
and how far it gets, follows from its capacity and the deadline, not from a fixed share of the clients with a
random number of epochs; its work counts with `overrun: partial`, the default (our choice). The term costs no
MACs: it is elementwise. The paper tunes mu and knows no value that suits all tasks; 0.01 is our choice.
"""

from __future__ import annotations

from pydantic import Field

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Always, Level, whole_network
from distreal_sim.submodels.steps import proximal_steps


class FedProx(Method):
    """FedAvg with a proximal term and partial work."""

    mu: float = Field(0.01, ge=0, allow_inf_nan=False, description="strength of the proximal term")

    def levels(self, task: Task) -> Always:
        return whole_network(task)

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        return proximal_steps(self.mu)
