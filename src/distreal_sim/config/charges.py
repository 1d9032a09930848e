"""What the simulated clock charges the steps of an experiment, where time is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.client.settings import Local
from distreal_sim.client.task import Task
from distreal_sim.config.experiment import Experiment
from distreal_sim.fronts.front import fingerprint
from distreal_sim.methods import Method, levels_in_use
from distreal_sim.submodels.levels import Level, charged_level
from distreal_sim.thinning.measured.table import Setting


def setting_of(local: Local) -> Setting:
    """How the steps of this planned work are computed."""
    rule = [local.optimizer.name, *local.optimizer.states, *(["clipped"] if local.clip_norm else [])]
    return Setting(local.batch_size, " ".join(rule), local.memory_format, local.precision)


def with_charges(experiment: Experiment, task: Task, configured: nn.Module, full_macs: int) -> Task:
    """The task with what the clock charges its steps; as it is where these cost their MACs.

    configured: the network of the config, which the method may have changed for the task; full_macs: of its
    full step, per example. Raises InputError unless the time of every step of the method is known.
    """
    table, method = experiment.costs, experiment.method
    if table is None:
        return task
    levels = described_levels(method, task)
    charges = table.charges(
        fingerprint(configured),
        fingerprint(task.module),
        task.full,
        method.redraws,
        setting_of(experiment.local),
        full_macs,
        _remedy(experiment),
    )
    task = replace(task, charges=charges)
    for level in levels:
        charged_level(task, level)
    return task


def described_levels(method: Method, task: Task) -> Sequence[Level]:
    """All levels of the method. Raises InputError where they do not describe its steps."""
    levels = levels_in_use(method, task)
    if levels is None:
        raise InputError(
            f"cost: method {method.name} with these options cannot have measured costs, because its steps "
            "are not described by levels; set cost=macs"
        )
    return levels


def _remedy(experiment: Experiment) -> str:
    """What a user can do where something was not measured."""
    out = experiment.cost if experiment.cost != "measured" else "cost.json"
    return f"measure it with `distreal-sim measure CONFIG method.name={experiment.method.name} --out {out}`"
