"""Methods: federated learning algorithms; one plug-in a file.

A method is a frozen set of options. `plan` and `merge` run on the server; `levels` says what the clients may
train, and `masks` and `compute` how, which is what `train` does on a client. What survives a round is in the
State that goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self, get_args

import numpy as np
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin, answers_for
from distreal_sim.client.answers import answer
from distreal_sim.client.client import Client
from distreal_sim.client.coding import Parts, kept_parts
from distreal_sim.client.columns import Column
from distreal_sim.client.messages import Facts, Job, Round, State, Update
from distreal_sim.client.schedule import Choice, Compute, Moment, plain_step
from distreal_sim.client.settings import Overrun
from distreal_sim.client.task import Task
from distreal_sim.client.train import skip, train
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.levels import (
    Always,
    Level,
    Levels,
    PerRound,
    PerStep,
    charged,
    within_memory,
)
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.engine.engine import Scaling
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Counts, Structure

Fits = Callable[[Counts], bool]
"""fits(counts): whether every client can train the sub-network of (G,) kept channels: its planned local work
in time at the profile's lower bound, and a step on its largest mini-batch in its memory."""

DrawMask = Callable[[int, Counts], Mask | None]
"""draw(step, counts): which channels a step keeps; None for all. Asked step by step."""


def whole(step: int, counts: Counts) -> Mask | None:
    """Every channel."""
    return None


class Method(Plugin):
    """A federated learning algorithm.

    overruns: values of the experiment's `overrun` with which its updates can be merged. trains_parts: whether
    a client may train less than the whole network; Flower's strategies cannot merge that. thins: whether it
    drops channels of coupling groups. relays: whether
    clients start from each other's models within a round (`Job.after`). columns: what its
    updates report beside the facts of every client (`Update.reporting`), for clients.parquet and rounds.csv.
    """

    package: ClassVar[str] = "distreal_sim.methods"
    label: ClassVar[str] = "method"

    overruns: ClassVar[tuple[Overrun, ...]] = get_args(Overrun)
    trains_parts: ClassVar[bool] = False
    thins: ClassVar[bool] = False
    relays: ClassVar[bool] = False
    columns: ClassVar[tuple[Column, ...]] = ()

    def settled(self, model: Mapping[str, Any], dataset: Mapping[str, Any]) -> Self:
        """The method with its automatic options settled; called when a config is read.

        model, dataset: the plug-ins as plain values, `name` among them.
        """
        return self

    def scaling_of(self, module: nn.Module) -> Scaling:
        """The scaling of the kept activations of the thinned network."""
        return "none"

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        """The network that is trained, given the configured one.

        structure: its coupling groups; fits(counts): whether every client can train the sub-network of (G,)
        `counts` channels, in time at the profile's lower bound and in its memory.
        """
        return module

    def build_front(self, module: nn.Module, structure: Structure) -> Front | None:
        """The table that clients look their dropout vectors up in; None for methods that use none.

        module, structure: the network that is trained, and its coupling groups.
        """
        return None

    def start(self, task: Task, state: State) -> State:
        """The state before round 1. state: the initial parameters in `arrays`, and no `extras`."""
        return state

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        """A job for every client of `now.cohort`, in its order; by default the whole model for each."""
        return [Job(client_id, now, state.arrays) for client_id in now.cohort]

    def widest(self, task: Task, state: State) -> SubModel | None:
        """The largest sub-network trained so far, for methods that train first channels or first stages.

        It is tested beside the whole network, of which nobody may have trained the rest. None otherwise, and
        before anything was trained.
        """
        return None

    def levels(self, task: Task) -> Levels | None:
        """The levels of all clients, where capacity alone decides; None where it takes more (`own_levels`).

        The simulated clock alone (`run --no-training`) times thousands of clients at once with it.
        """
        return None

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        """Every level that some client may train in some round; empty if that is not known.

        `check` shows them, and measured costs must hold them all.
        """
        levels = levels_of(self, task)
        return () if levels is None else levels.levels

    def own_levels(self, client: Client, job: Job) -> Levels:
        """The levels of one client in this round; by default those of all."""
        known = client.task.memo.get("levels")
        if known is None or known[0] is not self:
            levels = levels_of(self, client.task)
            if levels is None:
                raise InputError(
                    f"levels() of method {self.name} must return levels of distreal_sim.submodels.levels, "
                    "such as whole_network(task), not None; or the method must have own_levels or train"
                )
            known = client.task.memo["levels"] = (self, levels)
        own: Levels = known[1]
        return own

    @property
    def pairs_levels(self) -> bool:
        """Whether a step trains two levels at once, or a part of one, which has no measured cost."""
        return False

    @property
    def redraws(self) -> bool:
        """Whether steps keep other filters than the one before, which takes time where time is measured."""
        return False

    def examples(self, client: Client, job: Job) -> np.ndarray | None:
        """(n,) indices of the examples that a client trains on in this round; None: all of its own."""
        return None

    def masks(self, client: Client, job: Job) -> DrawMask:
        """draw(step, counts), which gives the mask of a step that keeps (G,) `counts` channels, None for all.

        It is asked once for each step that is computed, in order. By default every step keeps all channels.
        """
        return whole

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        """The arithmetic of the steps of a round that begins with this level; by default plain steps."""
        return plain_step

    def train(self, client: Client, job: Job) -> Update:
        """One client's round: its work on the simulated clock, and the training of the steps that count.

        By default the SGD loop over the method's levels, masks and steps. A client that takes no part returns
        `distreal_sim.client.train.skip(client)`.
        """
        if (chosen := self.examples(client, job)) is not None:
            client = replace(client, chosen=chosen)
        levels = within_memory(client, charged(client.task, self.own_levels(client, job)))
        if levels is None:
            return skip(client, "out_of_memory")
        start = levels.at_start(client)
        if start is None:
            return skip(client)
        draw, compute = self.masks(client, job), self.compute(client, job, start)

        def choice(step: int, level: Level) -> Choice:
            mask = partial(draw, step, level.counts)
            return Choice(level.counts, level.macs_per_example, mask, compute, level.charged_macs)

        def choose(moment: Moment) -> Choice:
            return choice(moment.step, levels.now(moment, start))

        alike = isinstance(levels, Always) and draw is whole
        steps = choice(0, start) if alike else choose
        return train(client, job, steps, start.traffic, trained=start.trained)

    def answer(self, client: Client, job: Job) -> Update:
        """What one client answers instead of training (`Round.asks`)."""
        return answer(client, job)

    def travels(self, task: Task, job: Job, update: Update) -> Parts:
        """What travels of the update's arrays, which client and server both know; by default what its
        coverage has (`kept_parts`). A codec that loses something is given this part alone.
        """
        return kept_parts(task.structure, job.arrays, update)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        """The next state. updates: those that count, in client order, each seen once."""
        return task.merge.merge(task, state, now, updates)

    def learn(self, task: Task, state: State, now: Round, facts: Sequence[Facts]) -> State:
        """The state after what the server was told of a round; asked for also where nothing is computed.

        facts: of all clients of the round, also of those that were not merged.
        """
        return state


def check_trains(method: Method) -> None:
    """Raises ValueError for a method that does not say what its clients train."""
    if all(
        getattr(type(method), name) is getattr(Method, name) for name in ("levels", "own_levels", "train")
    ):
        raise ValueError(
            f"method {method.name} must have one of levels, own_levels and train, which say what its clients "
            "train"
        )


def levels_of(method: Method, task: Task) -> Levels | None:
    """What `method.levels` returns. Raises InputError if these are no levels."""
    levels: object = method.levels(task)
    if levels is None or isinstance(levels, Always | PerRound | PerStep):
        return levels
    raise InputError(
        f"levels() of method {method.name} must return Always, PerRound or PerStep of "
        f"distreal_sim.submodels.levels, such as whole_network(task), not {type(levels).__name__}"
    )


def levels_in_use(method: Method, task: Task) -> Sequence[Level] | None:
    """All levels of the method; None where they do not describe its steps, as its `train` is a newer one or
    its steps train two levels at once, or parts of them.
    """
    for newer in ("train", "own_levels"):
        if not (answers_for(method, "levels", newer) or answers_for(method, "all_levels", newer)):
            return None
    return None if method.pairs_levels else method.all_levels(task) or None
