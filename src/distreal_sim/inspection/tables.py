"""Tables of the parts of an experiment: the layers, the capacities, the links, the front, the data."""

from __future__ import annotations

import math
from itertools import groupby, pairwise, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.columns import Columns
from rich.console import Console
from rich.text import Text

from distreal_sim.base.errors import InputError
from distreal_sim.base.process import prepare_process
from distreal_sim.base.text import add_row, compact, counted, percent, say, show, table, wide
from distreal_sim.client.task import Task
from distreal_sim.config import Config, Experiment, load_experiment, texts_of
from distreal_sim.config.build import build
from distreal_sim.devices.capacity import Capacity
from distreal_sim.fronts import fresh
from distreal_sim.fronts.file import read_front
from distreal_sim.fronts.front import Front
from distreal_sim.inspection.availability import print_availability
from distreal_sim.inspection.capacity import shown_as_1, unit_line
from distreal_sim.inspection.cautions import python_warning
from distreal_sim.inspection.data import data_lines, warnings_of
from distreal_sim.inspection.heterogeneity import heterogeneity_lines
from distreal_sim.inspection.levels import choices, levels_table
from distreal_sim.inspection.links import show_links
from distreal_sim.inspection.network import left_whole
from distreal_sim.inspection.rows import NO_PROGRESS, UNMEASURED, label_counts, sample
from distreal_sim.inspection.sparkline import MAX_WIDTH, marks_of, sparkline
from distreal_sim.inspection.texts import spread

MAX_ROWS = 20
"""Clients that are listed one by one."""

PROFILE_ROUNDS = 10
"""Rounds over which capacities are looked at."""


What = Literal["model", "profile", "link", "availability", "front", "data"]


def inspect(what: What, config: Config, **overrides: Any) -> None:
    """Prints a table of the model's layers, the clients' capacity, links or presence, the front, the data.

    what: `model`, `profile`, `link`, `availability`, `front` or `data`. config, overrides: see
    `load_experiment`; a front is also read from a JSON file of its own. Raises InputError for a config that
    cannot work.
    """
    if what == "front" and isinstance(config, str | Path) and Path(config).suffix == ".json":
        inspect_front_file(Path(config), Console())
        return
    experiment, notes = load_experiment(config, texts_of(overrides))
    for note in notes:
        python_warning(note)
    inspect_experiment(what, experiment, Console())


def inspect_experiment(what: What, experiment: Experiment, console: Console) -> None:
    """Builds the task and prints the table. Raises InputError for a config that cannot work."""
    prepare_process()
    task = build(experiment.by_macs())
    console = wide(console)
    if what == "model":
        _model(experiment, task, console)
    elif what == "profile":
        _profile(experiment, task, console)
    elif what == "link":
        n_rounds = min(PROFILE_ROUNDS, experiment.rounds)
        show_links(experiment, task, console, n_rounds=n_rounds, n_clients=MAX_ROWS)
    elif what == "availability":
        print_availability(experiment, task, console)
    elif what == "data":
        _data(experiment, task, console)
    elif task.front is None:
        name = experiment.method.name
        raise InputError(f"method.name {name} uses no front; set method.name=distreal or give a front file")
    else:
        _front(task.front, console)


def inspect_front_file(path: Path, console: Console) -> None:
    """Prints the front in a JSON file, whatever network it was made for. Raises InputError if it is none."""
    _front(read_front(path), wide(console))


def _model(experiment: Experiment, task: Task, console: Console) -> None:
    structure = task.structure
    thinned = set(task.front.groups) if task.front is not None else set()
    name = experiment.model.name
    if task.is_narrowed:
        name += f", narrowed by method {experiment.method.name}"
    groups = table(f"{name}: coupling groups", "#|<group|<kind|channels|blocks|<thinned")
    for index, group in enumerate(structure.groups):
        is_thinned = "yes" if group.name in thinned else "no"
        add_row(groups, index, group.name, group.kind, group.channels, group.blocks, is_thinned)
    show(console, groups)
    say(console, "A group's channels are kept or dropped together, equally many in each of its blocks.\n")
    layers = table(
        f"{name}: MACs of the layers per example", "<module|<weight|positions|forward|training|share"
    )
    rows: list[tuple[str, str, int | str, int, int]] = []
    for layer in structure.layers:
        shape = structure.tensors[layer.weight].shape
        macs = math.prod(shape) * layer.positions
        weight = "x".join(map(str, shape))
        rows.append((layer.module, weight, layer.positions, macs, macs * (1 + layer.n_gradients)))
    for p in structure.products:
        rows.append((p.module, p.operation, "", p.forward_macs, p.forward_macs + p.both_macs))
    forward, training = sum(row[3] for row in rows), sum(row[4] for row in rows)
    for i, row in enumerate(rows):
        share = f"{100 * row[4] / training:.1f} %"
        add_row(layers, *row, share, rule_after=i == len(rows) - 1)
    add_row(layers, "total", "", "", forward, training, "100.0 %")
    show(console, layers)
    say(console, "Training is forward and backward; share is of the training MACs.")
    for line in left_whole(structure):
        say(console, f"Not thinned: {line}.")
    sizes = {name: math.prod(structure.tensors[name].shape) for name in structure.parameters}
    weights = sum(sizes[name] for name in {layer.weight for layer in structure.layers})
    others = sum(sizes.values()) - weights
    say(console, f"{sum(sizes.values()):,} parameters: {weights:,} in these weights, {others:,} elsewhere.")
    if levels := choices(experiment.method, task):
        show(console, levels_table(levels, task, f"method {experiment.method.name}"))


def _profile(experiment: Experiment, task: Task, console: Console) -> None:
    n_rounds = min(PROFILE_ROUNDS, experiment.rounds)
    end_s = n_rounds * task.deadline_s
    capacities = {i: task.devices.capacity(i, 0.0) for i in sample(len(task.split), MAX_ROWS)}
    unit = dict(zip(capacities, shown_as_1(experiment, task, list(capacities)).tolist(), strict=True))
    levels = {i: _levels(capacity, end_s, unit[i]) for i, capacity in capacities.items()}
    shown = table(f"{experiment.profile.name}: capacity", "client|at t = 0|mean|min|max|changes a round")
    for i, capacity in capacities.items():
        mean = capacity.offered(0.0, end_s) / end_s / unit[i]
        figures = (f"{x:.4g}" for x in (levels[i][0], mean, min(levels[i]), max(levels[i])))
        add_row(shown, i, *figures, f"{(len(levels[i]) - 1) / n_rounds:.1f}")
    show(console, shown)
    which = f"{len(capacities)} of {len(task.split):,} clients"
    say(console, f"{unit_line(experiment, task, list(capacities))}.")
    for line in experiment.profile.notes():
        say(console, f"{line}.")
    say(console, f"Over the first {counted(n_rounds, 'round')} of {task.deadline_s:g} s; {which}.")
    for line in heterogeneity_lines(experiment, task):
        say(console, line)
    say(console, "")
    busiest = max(capacities, key=lambda i: len(levels[i]))
    per_round = max(1, min(console.width, MAX_WIDTH) // n_rounds)
    edges = np.linspace(0.0, end_s, per_round * n_rounds + 1).tolist()
    means = [capacities[busiest].offered(a, b) / (b - a) / unit[busiest] for a, b in pairwise(edges)]
    say(console, f"Client {busiest}, {per_round} characters a round; full height is {max(means):.4g}:")
    say(console, sparkline(means, marks_of(console)))


def _levels(capacity: Capacity, end_s: float, reference: float) -> list[float]:
    """The relative levels up to end_s, in order; neighbours differ."""
    pieces = takewhile(lambda piece: piece[0] < end_s, capacity.pieces(0.0))
    return [level for level, _ in groupby(macs_per_s / reference for _, _, macs_per_s in pieces)]


def _front(front: Front, console: Console) -> None:
    full = front.entries[-1]
    title = f"front of {counted(len(front.entries), 'entry', 'entries')} for model {front.model}"
    shares = "share|" if front.has_shares else ""
    of_network = "forward|backward|parameters|bytes"
    memory = "peak bytes|" if front.has_memory else ""
    columns = f"#|MACs|{shares}% of full|{memory}{of_network}|score|± s.e.|keep rate|<kept channels"
    shown = table(title, columns)
    for index, entry in enumerate(front.entries):
        cost = f"{100 * entry.macs_per_planned_example / full.macs:.2f}"
        costs = (f"{entry.share:.4g}", cost) if front.has_shares else (cost,)
        if front.has_memory:
            costs = (*costs, f"{entry.memory_bytes:,}")
        error = "" if entry.score_error is None else f"{entry.score_error:.2g}"
        keep_rate = f"{entry.keep_rate(full.counts):.3f}"
        sizes = (entry.forward_macs, entry.backward_macs, entry.n_parameters, entry.model_bytes)
        score = f"{entry.score:.4g}"
        add_row(shown, index, entry.macs, *costs, *sizes, score, error, keep_rate, compact(entry.counts))
    show(console, shown)
    say(console, "MACs: training, per example: forward + backward. Keep rate: mean over the coupling groups.")
    if front.has_shares:
        say(console, "Share: of the planned examples; % of full: share times MACs, by which it is looked up.")
    if front.has_memory:
        say(console, _memory_line(front))
    say(console, "Kept channels: of each coupling group in order; 3x16 stands for 16 16 16.")
    if front.hypervolume is not None:
        reference = "(1.05, 1.05, 0)" if front.has_memory else "(1.05, 0)"
        say(console, f"Hypervolume to {reference}, relative to the full network: {front.hypervolume:.4f}.")
    for line in [*fresh.gains(front.made), *fresh.thinning_pays(front.made, front.thins)]:
        say(console, f"On fresh seeds: {line}.")
    if front.thins and fresh.where_it_pays(front.made) is None:
        unknown = NO_PROGRESS if fresh.is_measured(front.made) else UNMEASURED
        say(console, f"{unknown[0].upper()}{unknown[1:]}.")
    if (how := fresh.how_measured(front.made)) is not None:
        say(console, f"Measured: {how}.")
    plain = {key: value for key, value in front.made.items() if not isinstance(value, dict | list)}
    say(console, f"Made by: {', '.join(f'{key}: {value}' for key, value in plain.items())}.")
    say(console, f"Thinned groups: {', '.join(front.groups)}.")


def _memory_line(front: Front) -> str:
    made = front.made.get("search") or {}
    n_examples = counted(made["batch_size"], "example") if "batch_size" in made else "a mini-batch"
    n_fastest = len(front.fastest.entries)
    return (
        f"Peak bytes: of a training step on {n_examples}. With memory enough for all, {n_fastest} of "
        f"{len(front.entries)} entries are used; the others are for devices with less."
    )


def _data(experiment: Experiment, task: Task, console: Console) -> None:
    if task.data.targets == "class":
        _classes(experiment, task, console)
    else:
        say(console, f"Examples a client: {spread(task.split.sizes)}.\n")
        for line in data_lines(task.data):
            say(console, line)


def _classes(experiment: Experiment, task: Task, console: Console) -> None:
    counts = label_counts(task)
    sizes, n_classes = task.split.sizes, (counts > 0).sum(axis=1)
    largest = counts.max(axis=1) / sizes
    n_rows = min(MAX_ROWS, len(sizes))
    title = f"{experiment.dataset.name}, dealt out by {experiment.partition.name}"
    shown = table(title, "client|examples|classes|largest class|its share")
    for i in range(n_rows):
        row = (i, int(sizes[i]), int(n_classes[i]), int(counts[i].argmax()), percent(float(largest[i])))
        add_row(shown, *row, rule_after=i == n_rows - 1)
    add_row(
        shown, "mean", f"{sizes.mean():,.1f}", f"{n_classes.mean():.1f}", "", percent(float(largest.mean()))
    )
    show(console, shown)
    say(console, f"The first {n_rows} of {len(sizes):,} clients; means are over all.\n")
    say(console, f"Examples a client: {spread(sizes)}.")
    say(console, f"Classes a client: {spread(n_classes)}.\n")
    say(console, "Class: training + test examples")
    test = np.bincount(task.data.test.y, minlength=task.data.n_outputs)
    cells = [f"{c}: {n:,} + {m:,}" for c, (n, m) in enumerate(zip(counts.sum(axis=0), test, strict=True))]
    cells.append(f"all: {sizes.sum():,} + {test.sum():,}")
    console.print(Columns([Text(cell) for cell in cells], padding=(0, 3)))
    for line in warnings_of(task.data):
        say(console, line)
