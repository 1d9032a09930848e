"""A method for the proxy study: clients train with one vector, all or some, in every step or now and then."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Update
from distreal_sim.client.schedule import Choice, Moment
from distreal_sim.client.train import train
from distreal_sim.methods import Method
from distreal_sim.thinning.masks import draw_orders, keep_counts, take


class OneVector(Method):
    """Filters drawn at random for every mini-batch, as in `distreal`; capacity plays no part.

    share: how often a step takes the vector; otherwise one of n_uniform uniform vectors drawn at random, the
    zero vector among them. weak_every: of so many clients one trains so, the one whose number it divides;
    the others train the full network.
    """

    rates: tuple[float, ...] = Field(description="fraction dropped of each group")
    drop_linear: bool = Field(True, description="hidden linear layers are thinned too")
    share: float = Field(1.0, ge=0, le=1, description="probability of the vector")
    weak_every: int = Field(1, ge=1, description="one of so many clients has the vector")
    n_uniform: int = Field(16, ge=1, description="number of uniform rates: 0, 1/n, ..., (n-1)/n")

    def train(self, client: Client, job: Job) -> Update:
        task, structure = client.task, client.task.structure
        groups = structure.thinnable(self.drop_linear)
        table = [
            keep_counts(structure, [i / self.n_uniform] * len(groups), groups) for i in range(self.n_uniform)
        ]
        own = keep_counts(structure, self.rates, groups)
        weak = job.client_id % self.weak_every == 0
        vectors, masks = client.rngs("vectors"), client.rngs("masks")

        def choose(moment: Moment) -> Choice:
            coin, other = vectors.uniform(), int(vectors.integers(self.n_uniform))
            counts = table[0] if not weak else own if coin < self.share else table[other]
            return Choice(
                counts,
                task.macs_per_example(counts),
                lambda: take(structure, draw_orders(structure, masks, "random"), counts),
            )

        return train(client, job, choose, task.traffic(task.model_sizes, coverage=True))
