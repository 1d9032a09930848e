"""The resolved plan of an experiment: what would run, what it costs, how long it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distreal_sim.build import build, planned_examples
from distreal_sim.config import Experiment
from distreal_sim.plan.estimate import coverage_bytes, forecast, measure, window
from distreal_sim.plan.text import duration, percent, si, wide
from distreal_sim.plugins import Plugin
from distreal_sim.rng import Rngs
from distreal_sim.simulation import select_cohort
from distreal_sim.task import Task, network_bytes
from distreal_sim.thinning.groups import find_groups
from distreal_sim.thinning.macs import forward_macs, n_parameters, training_macs
from distreal_sim.thinning.structure import Structure
from distreal_sim.threads import one_thread

MAX_SAMPLE = 200
"""Most clients whose capacity is looked at."""

Rows = Iterator[tuple[str, str]]


def print_plan(experiment: Experiment, console: Console) -> None:
    """Builds the task and prints the plan. Raises InputError for a config that cannot work."""
    one_thread()
    task = build(experiment)
    full = full_structure(experiment, task)
    ids = sample(len(task.split))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    last = ""
    for section in (_data, _network, _capacity, _method, _time):
        for label, value in section(experiment, task, full, ids):
            grid.add_row(Text("" if label == last else label), Text(value))
            last = label
    wide(console).print(grid)


def sample(n_clients: int) -> list[int]:
    """At most MAX_SAMPLE client ids, evenly spread."""
    return [int(i) for i in np.unique(np.linspace(0, n_clients - 1, MAX_SAMPLE).round())]


def full_structure(experiment: Experiment, task: Task) -> Structure:
    """Coupling groups of the configured network, which a method may have narrowed for the task."""
    with Rngs(experiment.seed).torch_default("initialisation"):
        module = experiment.model.build(task.data.shape, task.data.n_classes)
    return find_groups(module, torch.zeros(2, *task.data.shape))


def reference_macs_per_s(experiment: Experiment, task: Task, full: Structure) -> float:
    """MAC/s with which the client of median size trains the full network in exactly deadline_s."""
    macs = training_macs(full, full.full_counts())
    return float(np.median(planned_examples(task.split, experiment))) * macs / task.deadline_s


def label_counts(task: Task) -> np.ndarray:
    """(n_clients, n_classes) examples of each class that each client holds."""
    n_clients, n_classes = len(task.split), task.data.n_classes
    owner = np.repeat(np.arange(n_clients), task.split.sizes)
    cells = owner * n_classes + task.data.train.y[task.split.order]
    return np.bincount(cells, minlength=n_clients * n_classes).reshape(n_clients, n_classes)


def describe(plugin: Plugin) -> str:
    """A plug-in's name and options; outside code is called that."""
    name = plugin.name
    if "." in name:
        name += f" (runs code from {type(plugin).__module__})"
    options = ", ".join(_options(plugin.model_dump(mode="json")))
    return f"{name}: {options}" if options else name


def _options(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _options(value, f"{prefix}{key}.")
        elif value is not None and value != []:
            yield f"{prefix}{key}={value}".replace("'", "").replace(", ", ",")


def _data(experiment: Experiment, task: Task, full: Structure, ids: Sequence[int]) -> Rows:
    yield "experiment", f"{experiment.name}, seed {experiment.seed}, config hash {experiment.hash()}"
    data, sizes, counts = task.data, task.split.sizes, label_counts(task)
    shape = " x ".join(map(str, data.shape))
    yield "data set", describe(experiment.dataset)
    yield "data set", (
        f"{len(data.train):,} training and {len(data.test):,} test examples of {shape}, {data.n_classes} classes"
    )
    yield "clients", f"{len(sizes):,}, of which {experiment.clients_per_round:,} a round"
    if experiment.availability.name != "always":
        yield "clients", f"availability {describe(experiment.availability)}"
    yield "partition", describe(experiment.partition)
    yield "partition", f"examples a client: {spread(sizes)}"
    classes, largest = np.mean((counts > 0).sum(axis=1)), np.mean(counts.max(axis=1) / sizes)
    yield "partition", (
        f"label skew: a client holds {classes:.1f} of {data.n_classes} classes, "
        f"{percent(float(largest))} of its examples are of one class (means)"
    )


def spread(values: Sequence[float] | np.ndarray) -> str:
    """Smallest, median and largest value."""
    low, middle, high = (float(f(values)) for f in (np.min, np.median, np.max))
    return f"min {low:,.4g}, median {middle:,.4g}, max {high:,.4g}" if high < 1e4 else (
        f"min {low:,.0f}, median {middle:,.0f}, max {high:,.0f}"
    )  # fmt: skip


def _cost(structure: Structure) -> str:
    counts = structure.full_counts()
    return (
        f"{n_parameters(structure, counts):,} parameters; per example {si(forward_macs(structure, counts), 'MAC')} "
        f"forward, {si(training_macs(structure, counts), 'MAC')} training (forward and backward)"
    )


def _network(experiment: Experiment, task: Task, full: Structure, ids: Sequence[int]) -> Rows:
    yield "model", describe(experiment.model)
    yield "model", _cost(full)
    channels = sum(full.full_counts())
    yield "model", f"{len(full.groups)} coupling groups with {channels:,} channels"
    if task.structure.full_counts() != full.full_counts():
        yield "model", f"narrowed by method {experiment.method.name} to {_cost(task.structure)}"
    local = experiment.local
    steps = [len(window(task, i).sizes) for i in ids]
    work = f"{local.epochs} epoch{'s' * (local.epochs != 1)}" if local.epochs else f"{local.steps} steps"
    yield "local work", f"{work} in mini-batches of {local.batch_size}: {spread(steps)} mini-batches a client"
    momentum = f", momentum {local.momentum:g}" if local.momentum else ""
    decay = f", weight decay {local.weight_decay:g}" if local.weight_decay else ""
    yield "local work", f"SGD, lr {local.lr:g} ({local.lr_schedule}){momentum}{decay}"


def _capacity(experiment: Experiment, task: Task, full: Structure, ids: Sequence[int]) -> Rows:
    reference = reference_macs_per_s(experiment, task, full)
    absolute = np.array([window(task, i).macs_per_s for i in ids])
    bound = experiment.profile.lower_bound() * task.macs_per_s if experiment.profile.lower_bound() else 0.0
    yield "capacity", describe(experiment.profile)
    yield "capacity", (
        f"level 1 is {si(reference, 'MAC/s')}: a client of median size trains the full model in {task.deadline_s:g} s"
    )
    low, middle, high = (si(float(f(absolute)), "MAC/s") for f in (np.min, np.median, np.max))
    yield "capacity", f"at t = 0 ({_clients(len(ids), task)}): {spread(absolute / reference)}"
    yield "capacity", f"    that is min {low}, median {middle}, max {high}"
    yield "capacity", f"never below {bound / reference:.4g}, that is {si(bound, 'MAC/s')}"
    if experiment.network.name != "unlimited":
        yield "network", describe(experiment.network)


def _clients(n: int, task: Task) -> str:
    return f"all {n} clients" if n == len(task.split) else f"{n} of {len(task.split):,} clients"


def _method(experiment: Experiment, task: Task, full: Structure, ids: Sequence[int]) -> Rows:
    yield "method", describe(experiment.method)
    frames = [window(task, i) for i in ids]
    macs = {"the full model": training_macs(full, full.full_counts())}
    if task.structure.full_counts() != full.full_counts():
        macs["the narrowed model"] = task.macs_per_example(task.structure.full_counts())
    if task.front is not None:
        entries = task.front.entries
        share = entries[0].macs / entries[-1].macs
        rates = len(task.front.groups)
        yield "front", f"{len(entries)} entries of {rates} rates, the cheapest with {percent(share)} of the full MACs"
        macs["its cheapest entry"] = entries[0].macs
    for what, cost in macs.items():
        n_fit = sum(frame.fits(cost) for frame in frames)
        yield "in time", f"{percent(n_fit / len(ids))} of the clients with {what}, if the capacity of t = 0 held"
    status = [plan.status for plan in forecast(task, experiment.method.overrun, ids)]
    shares = ", ".join(f"{percent(status.count(s) / len(ids))} {s}" for s in ("completed", "partial", "dropped"))
    yield "in time", f"{shares} in round 1, its changes of capacity counted"
    sent = network_bytes(task.module)
    coverage = coverage_bytes(task, int(np.median([len(frame.sizes) for frame in frames])))
    extra = f", and up to {si(coverage, 'B')} that say which filters were trained" if coverage else ""
    yield "traffic", f"a client and round: {si(sent, 'B')} down, {si(sent, 'B')} up{extra}"


def _time(experiment: Experiment, task: Task, full: Structure, ids: Sequence[int]) -> Rows:
    bound = "at most " if experiment.round_end == "early" else ""
    if experiment.method.overrun == "wait":
        bound = "about " if bound else "at least "
    total_s = experiment.rounds * experiment.deadline_s
    yield "simulated", (
        f"{experiment.rounds:,} rounds of {experiment.deadline_s:g} s: {bound}{total_s:,.10g} s"
        + (f" ({duration(total_s)})" if total_s >= 120 else "")
    )
    times = measure(task, select_cohort(experiment, task, 1))
    plans = forecast(task, experiment.method.overrun, ids)
    every, n_test = experiment.evaluation.every, len(task.data.test)
    n_evaluations = experiment.rounds // every + bool(experiment.rounds % every)
    training = experiment.rounds * experiment.clients_per_round * times.training_wall_s(plans)
    testing = n_evaluations * times.evaluation_wall_s(n_test, experiment.evaluation)
    n_cores = os.cpu_count() or 1
    workers = min(n_cores, experiment.clients_per_round)
    yield "wall time", f"ESTIMATE: {duration(training + testing)} with 1 worker" + (
        f", {duration((training + testing) / workers)} with {n_cores} workers, one per core" if n_cores > 1 else ""
    )
    yield "wall time", f"    {duration(training)} training, {duration(testing)} for {n_evaluations:,} evaluations"
    names = ["full model"] if task.front is None else ["front's median entry", "full model"][-len(times.steps) :]
    steps = ", ".join(
        f"{1000 * seconds:.3g} ms ({name})" for name, (_, seconds) in zip(names, times.steps, strict=True)
    )
    yield "wall time", (
        f"    measured now on {task.device}: {steps} a step of {times.batch_size} examples, "
        f"{1000 * times.test_batch_wall_s:.3g} ms a test batch"
    )
    yield "wall time", "    start-up, messages and merging are not counted; steps as in round 1"
