"""Units of capacity for people: what level 1 is, and how to keep a fleet as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distreal_sim.base.text import si
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.build import planned_examples
from distreal_sim.results.fleets import fixed_by
from distreal_sim.thinning.cost import training_macs


def reference_macs_per_s(experiment: Experiment, task: Task) -> float:
    """MAC/s with which the client of median size trains the full network in exactly deadline_s."""
    macs = training_macs(task.configured, task.configured.full_counts())
    return float(np.median(planned_examples(task.split, experiment))) * macs / task.deadline_s


def shown_as_1(experiment: Experiment, task: Task, client_ids: Sequence[int]) -> np.ndarray:
    """(n,) MAC/s that are shown as level 1: the clients' own, or, for levels in MAC/s, the reference."""
    if experiment.profile.unit == "macs_per_s":
        return np.full(len(client_ids), reference_macs_per_s(experiment, task))
    return np.broadcast_to(task.devices.level_1(np.array(client_ids)), len(client_ids))


def unit_line(experiment: Experiment, task: Task, client_ids: Sequence[int]) -> str:
    """What level 1 is, and what levels are shown relative to; client_ids: whose own level 1 counts."""
    work = f"full model, {{}}, in {task.deadline_s:g} s".format
    if experiment.profile.unit == "relative_own":
        return f"level 1 = {ends(shown_as_1(experiment, task, client_ids))}: {work('own work')}"
    reference = f"{si(reference_macs_per_s(experiment, task), 'MAC/s')}: {work('median client')}"
    if experiment.profile.unit == "relative":
        return f"level 1 = {reference}"
    return f"level 1 = {si(task.devices.median_level_1, 'MAC/s')}, shown relative to {reference}"


def fixing_line(experiment: Experiment, task: Task) -> str | None:
    """How to keep the fleet where the network or the work changes; None where it is kept already."""
    unit = experiment.profile.unit
    if unit == "macs_per_s":
        return None
    whose = "it" if unit == "relative" else "the median client's"
    keys = fixed_by(task.devices.median_level_1)
    return f"other networks or other work change level 1; to keep {whose}: {keys}"


def ends(macs_per_s: np.ndarray) -> str:
    """Smallest, median and largest capacity."""
    low, middle, high = (si(float(f(macs_per_s)), "MAC/s") for f in (np.min, np.median, np.max))
    return f"min {low}, median {middle}, max {high}"
