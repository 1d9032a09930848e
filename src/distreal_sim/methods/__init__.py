"""Methods: federated learning algorithms; one plug-in a file.

A method is a frozen set of options with three functions: `plan` and `merge` run on the server, `train` on a
client. What survives a round is in the State that goes in and comes out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin
from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays, Job, State, Update
from distreal_sim.client.schedule import Overrun
from distreal_sim.client.task import Task
from distreal_sim.devices.capacity import Capacity
from distreal_sim.fronts.front import Front
from distreal_sim.merging.average import Weight
from distreal_sim.merging.merge import merge_updates
from distreal_sim.submodels.levels import Ladder
from distreal_sim.thinning.engine.engine import Scaling
from distreal_sim.thinning.structure import Counts, Structure

Fits = Callable[[int, int], bool]
"""fits(macs_per_example, model_bytes): whether the weakest client can do its planned local work in time."""


OverrunOption = Annotated[
    Overrun,
    Field(description="a client still computing at the deadline: drop it, merge its partial work, or wait"),
]


class Method(Plugin):
    """A federated learning algorithm.

    weight: a client's weight in the merge, unless the experiment sets merge.weight. trains_parts: whether a
    client may train less than the whole network; Flower's strategies cannot merge that.
    """

    package: ClassVar[str] = "distreal_sim.methods"
    label: ClassVar[str] = "method"

    overrun: OverrunOption = "drop"

    weight: ClassVar[Weight] = "examples"
    trains_parts: ClassVar[bool] = False

    def settled(self, model: Mapping[str, Any], dataset: Mapping[str, Any]) -> Self:
        """The method with what its options leave to the package put in; asked when a config is read.

        model, dataset: the plug-ins as plain values, `name` among them.
        """
        return self

    def scaling_of(self, module: nn.Module) -> Scaling:
        """What happens to the kept activations of the thinned network."""
        return "none"

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        """The network that is trained, given the configured one."""
        return module

    def build_front(self, module: nn.Module, structure: Structure) -> Front | None:
        """The table that clients look their dropout vectors up in, for methods that use one."""
        return None

    def start(self, task: Task, state: State) -> State:
        """The state before round 1, given the initial parameters."""
        return state

    def plan(
        self, task: Task, state: State, round_number: int, start_s: float, cohort: Sequence[int]
    ) -> list[Job]:
        """A job for every client of the cohort, in its order."""
        return [Job(client_id, round_number, start_s, state.arrays) for client_id in cohort]

    def widest(self, task: Task, state: State) -> Counts | None:
        """The largest sub-network trained so far, for methods that train first channels or first stages.

        It is tested beside the whole network, of which nobody may have trained the rest: the channels of each
        group and, in a network with exits, behind them the number of the last one, unless it is the network's
        own. None otherwise, and before anything was trained.
        """
        return None

    @abstractmethod
    def train(self, task: Task, job: Job, capacity: Capacity, rngs: Rngs) -> Update:
        """What one client does with its job. capacity: its own, in time relative to the round's start."""

    def ladder(self, task: Task, arrays: Arrays) -> Ladder | None:
        """What the clients' `train` chooses from, where capacity alone decides; None: only `train` can say.

        arrays: what the server sends. The clock alone (`run --no-training`) then times thousands of clients
        at once instead of asking `train` for each; its times and costs must be the same.
        """
        return None

    def merge(self, task: Task, state: State, updates: Iterator[Update]) -> State:
        """The next state. updates: those that count, in client order, each seen once."""
        return merge_updates(task, state, updates, self.weight)


def train_client(method: Method, task: Task, job: Job, rngs: Rngs) -> Update:
    """One client's `train`. Raises InputError where it gives something else than an Update."""
    update: Any = method.train(task, job, task.capacity(job.client_id, job.start_s), rngs)
    if not isinstance(update, Update):
        raise InputError(
            f"train() of method {method.name} must return an Update, such as distreal_sim.client.train.train gives, "
            f"not {'None' if update is None else type(update).__name__}"
        )
    return update
