"""What the simulated clock charges the steps of an experiment, where time is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.settings import Local
from distreal_sim.client.task import Task
from distreal_sim.config.experiment import Experiment
from distreal_sim.fronts.front import fingerprint
from distreal_sim.methods import Method, levels_in_use
from distreal_sim.submodels.levels import Level, charged_level
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.measured.step_times import StepTimes, predicted_s
from distreal_sim.thinning.measured.table import Charges, LevelKey, Setting, TimedLevel
from distreal_sim.thinning.measured.work import work_of
from distreal_sim.thinning.structure import Counts

LEAST = Decimal("0.000001")
"""To which predicted shares are rounded; the smallest one."""


def setting_of(local: Local) -> Setting:
    """How the steps of this planned work are computed."""
    rule = [local.optimizer.name, *local.optimizer.states, *(["clipped"] if local.clip_norm else [])]
    return Setting(local.batch_size, " ".join(rule), local.memory_format, local.precision)


def with_charges(experiment: Experiment, task: Task, configured: nn.Module, full_macs: int) -> Task:
    """The task with what the clock charges its steps; as it is where these cost their MACs.

    configured: the network of the config, which the method may have changed for the task; full_macs: of its
    full step, per example. Raises InputError unless the time of every step of the method is known.
    """
    table, device, method = experiment.costs, experiment.cost_device, experiment.method
    if table is None and device is None:
        return task
    levels = described_levels(method, task)
    if device is not None:
        try:
            charges = predicted(experiment, device.step_times, task, configured, levels)
        except InputError as error:
            raise InputError(f"cost {experiment.cost}: {error}") from None
    elif table is not None:
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


def predicted(
    experiment: Experiment, times: StepTimes, task: Task, configured: nn.Module, levels: Sequence[Level]
) -> Charges:
    """What steps of these levels take by the times of a device, relative to the full step of `configured`.

    A step has as many examples as the planned steps of all clients have on average, so that smaller last
    batches, whose passes take no less, are charged right in the sum over all clients. Raises InputError for
    levels that train a part of what they keep, and for kinds of layers without times.
    """
    n_examples, setting = examples_a_step(task), setting_of(experiment.local)
    names = fingerprint(configured), fingerprint(task.module)
    full = task.configured.full_counts()
    full_macs = training_macs(task.configured, full)
    full_s = predicted_s(times, work_of(configured, task.configured, full, n_examples, redrawn=False))
    timed: dict[tuple[Counts, str | None], TimedLevel] = {}
    for level in levels:
        if level.trained is not None:
            raise InputError(
                f"method {experiment.method.name} trains a part of the parameters, whose time a device "
                "file does not tell; use a file of `distreal-sim measure`"
            )
        redrawn = experiment.method.redraws and level.counts != task.full
        work = work_of(task.module, task.structure, level.counts, n_examples, redrawn=redrawn)
        step_s = predicted_s(times, work)
        share = max(LEAST, Decimal(step_s / full_s).quantize(LEAST))
        timed[level.counts, None] = TimedLevel(
            LevelKey(*names, level.counts, redrawn, None, setting),
            level.macs_per_example,
            level.macs_per_example / full_macs,
            share,
            float(share),
            float(share),
            step_s,
        )
    return Charges(full_macs, timed, "cost: not predicted for all levels of the method", full_s / n_examples)


def examples_a_step(task: Task) -> float:
    """Examples of the planned steps of all clients, on average."""
    n_steps, n_examples = 0, 0
    for size, n_clients in Counter(task.split.sizes.tolist()).items():
        planned = batch_sizes(size, task.local) if size else []
        n_steps += n_clients * len(planned)
        n_examples += n_clients * sum(planned)
    return n_examples / n_steps


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
