"""Measuring costs: the time of the steps of methods' levels, relative to the full step, on this machine."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distreal_sim.base.errors import naming
from distreal_sim.base.process import n_cores, prepare_process
from distreal_sim.base.rng import Rngs
from distreal_sim.base.versions import NAME, version_of
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round
from distreal_sim.client.task import Task
from distreal_sim.config import Config, Experiment, load_experiment, texts_of
from distreal_sim.config.build import build, configured_network, load_data
from distreal_sim.config.charges import described_levels, setting_of
from distreal_sim.data.datasets import Data
from distreal_sim.fronts.front import fingerprint
from distreal_sim.inspection.cautions import python_warning
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Level
from distreal_sim.thinning.masks import sample_mask
from distreal_sim.thinning.measured.table import CostTable, LevelKey, TimedLevel, trained_digest

REPEATS = 41
ENOUGH_WALL_S = 60.0
LEAST_REPEATS = 5
"""A share is the median of REPEATS, or of fewer once they took ENOUGH_WALL_S, but of LEAST_REPEATS."""

LEAST_STEPS, MOST_STEPS, STEPS_WALL_S = 3, 11, 0.01
"""Steps in a row of which a repeat takes the fastest: so many that full steps take STEPS_WALL_S in all.

While other processes compete for the processor, that is one that was not interrupted."""

N_MASKS = 7
"""Filter masks that the steps of a method that redraws them take in turn, so that each has another one."""

DIGITS = Decimal("0.0001")
"""To which shares are rounded; the smallest one that is written."""


@dataclass(frozen=True)
class Bench:
    """A level whose steps are timed.

    macs_share: of the full network's; step, full: compute one step, of the level and of the full network.
    """

    key: LevelKey
    macs_per_example: int
    macs_share: float
    step: Callable[[int], object]
    full: Callable[[int], object]


def measure(config: Config, out: str | Path | None = None, **overrides: Any) -> CostTable:
    """Times the steps of the levels of an experiment's method on this machine: a file for the key `cost`.

    config, overrides: see `load_experiment`. out: where the table is saved. Each level's steps and full steps
    alternate, on one thread. Raises InputError for a method whose steps are not described by levels.
    """
    experiment, notes = load_experiment(config, texts_of(overrides))
    for note in notes:
        python_warning(note)
    table = measured([experiment])
    if out is not None:
        table.save(Path(out))
    return table


def with_costs(experiment: Experiment) -> Experiment:
    """The experiment with what is measured for it now, if that is missing."""
    return experiment.with_measured(measured([experiment])) if experiment.needs_measuring else experiment


def measured(experiments: Sequence[Experiment], known: CostTable | None = None) -> CostTable:
    """The levels of all the experiments, each timed once; what is known already is kept."""
    prepare_process()
    benches: dict[LevelKey, Bench] = {}
    dataset, data = None, None
    for experiment in experiments:
        if experiment.dataset != dataset:
            dataset, data = experiment.dataset, load_data(experiment.dataset)
        for bench in _benches(experiment, data):
            if known is None or bench.key not in known.by_key:
                benches.setdefault(bench.key, bench)
    if not benches:
        assert known is not None
        return known
    made = made_here()
    with naming("measuring steps"):
        levels, n_repeats = _timed(list(benches.values()))
    made |= {
        "device": experiments[0].device,
        "models": sorted({experiment.model.name for experiment in experiments}),
        "repeats": n_repeats,
    }
    table = CostTable(tuple(levels), made)
    return table if known is None else known.joined(table)


def made_here() -> dict[str, Any]:
    """When and where something is measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": n_cores(),
        "threads": torch.get_num_threads(),
        "versions": {name: version_of(name) for name in (NAME, "torch")},
    }


def processor() -> str:
    """The name of this machine's processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def _benches(experiment: Experiment, data: Data | None) -> Iterator[Bench]:
    """Raises InputError for a method whose steps are not described by levels."""
    experiment = experiment.by_macs()
    task, method = build(experiment, data), experiment.method
    levels = described_levels(method, task)
    module, structure = configured_network(experiment, task.data)
    whole = replace(task, module=module, structure=structure)
    model, network = fingerprint(module), fingerprint(task.module)
    if network == model:
        whole = task
    full = whole_step(whole, _batch(whole))
    setting = setting_of(experiment.local)
    key = LevelKey(model, model, whole.full, False, None, setting)
    full_macs = whole.macs_per_example(whole.full)
    yield Bench(key, full_macs, 1.0, full, full)
    for level in levels:
        redrawn = method.redraws and level.counts != task.full
        key = LevelKey(model, network, level.counts, redrawn, trained_digest(level.trained), setting)
        macs = level.macs_per_example
        yield Bench(key, macs, round(macs / full_macs, 6), step_of(task, method, level), full)


def whole_step(task: Task, batch: tuple[torch.Tensor, torch.Tensor]) -> Callable[[int], object]:
    """The full step of a task's network."""
    x, y = batch
    return lambda number: task.engine.step(x, y, None, 0.0)


def step_of(task: Task, method: Method, level: Level) -> Callable[[int], object]:
    """A step of a level.

    One that trains all that it keeps is a plain step with random filters, whatever the method, so that a
    level costs the same in all methods that redraw filters, or in all that keep them. One that trains a part
    of its parameters is the method's.
    """
    x, y = batch = _batch(task)
    if level.trained is None:
        if level.counts == task.full:
            return whole_step(task, batch)
        rng = Rngs(task.seed)("measured masks")
        n_masks = N_MASKS if method.redraws else 1
        drawn = [sample_mask(task.structure, level.counts, rng) for _ in range(n_masks)]
        return lambda number: task.engine.step(x, y, drawn[number % n_masks], 0.0)
    now = Round(1, 1, 0.0, 0.0, (0,))
    client, job = Client(task, 0, now), Job(0, now, task.engine.export())
    masks = method.masks(client, job)
    compute = method.compute(client, job, level)
    return lambda number: compute(task.engine, x, y, masks(number, level.counts), 0.0)


def _batch(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    n_examples = min(task.local.batch_size, len(task.data.train))
    return task.batch(task.data.train, np.arange(n_examples))


def _timed(benches: Sequence[Bench]) -> tuple[list[TimedLevel], int]:
    """The measured levels, and the number of repeats. Full steps and those of a level alternate."""
    n_steps = []
    for bench in benches:
        _wall_s(bench.step, LEAST_STEPS)  # compiles kernels and fills caches
        n_fitting = round(STEPS_WALL_S / _wall_s(bench.full, LEAST_STEPS))
        n_steps.append(min(max(n_fitting, LEAST_STEPS), MOST_STEPS))
    shares: list[list[float]] = [[] for _ in benches]
    seconds: list[list[float]] = [[] for _ in benches]
    begun, n_repeats = time.perf_counter(), 0
    while n_repeats < REPEATS and (n_repeats < LEAST_REPEATS or time.perf_counter() - begun < ENOUGH_WALL_S):
        for place, bench in enumerate(benches):
            full_wall_s = _wall_s(bench.full, n_steps[place])
            own_wall_s = full_wall_s if bench.step is bench.full else _wall_s(bench.step, n_steps[place])
            shares[place].append(own_wall_s / full_wall_s)
            seconds[place].append(own_wall_s)
        n_repeats += 1
    rows = zip(benches, shares, seconds, strict=True)
    return [_level(bench, own, wall_s) for bench, own, wall_s in rows], n_repeats


def _level(bench: Bench, shares: Sequence[float], wall_s: Sequence[float]) -> TimedLevel:
    low, middle, high = np.quantile(shares, (0.25, 0.5, 0.75)).tolist()
    share = max(DIGITS, Decimal(middle).quantize(DIGITS))
    step_wall_s = float(f"{np.median(wall_s):.4g}")
    quartiles = round(low, 4), round(high, 4)
    return TimedLevel(bench.key, bench.macs_per_example, bench.macs_share, share, *quartiles, step_wall_s)


def _wall_s(step: Callable[[int], object], n_steps: int) -> float:
    """Seconds of the fastest of so many steps in a row, after one that is not timed."""
    step(0)
    taken = []
    for number in range(1, n_steps + 1):
        begun = time.perf_counter()
        step(number)
        taken.append(time.perf_counter() - begun)
    return min(taken)
