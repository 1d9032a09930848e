"""Calibration: the times of training steps on this machine, as a device of the catalogue."""

from __future__ import annotations

import csv
import io
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch
import yaml
from torch import Tensor

from distreal_sim.base.errors import InputError, naming
from distreal_sim.base.files import write_atomically
from distreal_sim.base.plugins import load
from distreal_sim.base.process import memory_limit_bytes, prepare_process
from distreal_sim.base.rng import Rngs
from distreal_sim.devices.catalogue import CALIBRATED, Device, Fact
from distreal_sim.inspection.timing import N_MASKS, made_here, processor
from distreal_sim.models import Model
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.engine.layout import layout_of
from distreal_sim.thinning.masks import keep_counts, sample_mask
from distreal_sim.thinning.measured.step_times import MACS_ALONE, Errors, StepTimes, errors, fit, predicted_s
from distreal_sim.thinning.measured.work import Work, work_of
from distreal_sim.thinning.structure import Counts, Structure

MODELS = ("small_cnn", "femnist_cnn", "cnn_cifar", "resnet20")
BATCH_SIZES = (2, 8, 32)
VECTORS = 12
REPEATS = 15

INPUTS = (((3, 32, 32), None), ((64,), None), ((80,), 80))
"""Shapes of examples and numbers of tokens, of which a network gets the first that it takes."""

N_OUTPUTS = 10

COLUMNS = ("model", "batch", "kept", "redrawn", "macs", "fitted")
"""Of a table of steps, beside its times."""

HELD_OUT = 3
"""Of so many vectors one is left out of the fit."""

LEAST_KEPT = 0.1
"""Least share of channels that a random vector keeps."""


@dataclass(frozen=True)
class Timed:
    """Steps of a network that keep `counts` channels, redrawn before each step or kept, and their seconds.

    fitted: whether the coefficients were fitted to them; the others tell how good they are.
    """

    model: str
    n_examples: int
    counts: Counts
    redrawn: bool
    macs: int
    work: Work
    fitted: bool
    step_s: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """This machine as a device of the catalogue, with the step times that it was made from.

    device: this machine, with `step_times`; by_macs: those of a fit of MACs without calls and bytes;
    steps: what was timed; held_out, macs_alone: errors of both fits on the steps that they did not see.
    """

    device: Device
    by_macs: StepTimes
    steps: tuple[Timed, ...]
    held_out: Errors
    macs_alone: Errors

    def save(self, path: Path) -> None:
        """Writes the device file, a YAML file for `cost` and for `files` of the profile `fleet`."""
        plain = self.device.model_dump(mode="json", exclude_none=True)
        write_atomically(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())

    def save_steps(self, path: Path) -> None:
        """Writes the steps with their measured and predicted times as CSV."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow([*COLUMNS, "measured_s", "predicted_s", "by_macs_s"])
        for own in self.steps:
            predicted = (predicted_s(times, own.work) for times in (self.device.step_times, self.by_macs))
            times = (f"{seconds:.5g}" for seconds in (own.step_s, *predicted))
            kept = " ".join(map(str, own.counts))
            rows.writerow([own.model, own.n_examples, kept, own.redrawn, own.macs, own.fitted, *times])
        write_atomically(path, text.getvalue().encode())


def calibrate(
    out: str | Path | None = None,
    *,
    models: Sequence[str] = MODELS,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    vectors: int = VECTORS,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Calibration:
    """Times training steps on this machine and fits their times: a device file for `cost` and for fleets.

    Steps of every network and batch size, at full width and with `vectors` random dropout vectors, on random
    inputs, by plain SGD in float32 on one thread. A step's time is the least processor time of the thread
    over `repeats` interleaved visits, so that other processes hardly count. out: where the device file is
    saved. Raises InputError for a network that there is not or that takes none of the inputs.
    """
    prepare_process()
    pairs = list(_benches(models, batch_sizes, vectors, Rngs(seed)("calibration")))
    with naming("timing steps"):
        seconds = _least_s([step for _, step in pairs], repeats)
    steps = tuple(replace(own, step_s=s) for (own, _), s in zip(pairs, seconds, strict=True))
    return calibrated(steps, out)


def calibrated(steps: Sequence[Timed], out: str | Path | None = None) -> Calibration:
    """The calibration that follows from timed steps."""
    seen = [own for own in steps if own.fitted]
    unseen = [own for own in steps if not own.fitted] or seen
    works, seconds = [own.work for own in seen], [own.step_s for own in seen]
    tests = [own.work for own in unseen], [own.step_s for own in unseen]
    times, by_macs = fit(works, seconds), fit(works, seconds, MACS_ALONE)
    held_out, macs_alone = errors(times, *tests), errors(by_macs, *tests)
    full = [own.macs / own.step_s for own in steps if not own.redrawn and own.macs == _most(steps, own)]
    device = Device(
        title=f"{processor()}, one thread, calibrated",
        kind="computer",
        macs_per_s=_fact(float(np.median(full)), "median over full training steps; efficiency is 1"),
        memory_bytes=_fact(
            float(min(psutil.virtual_memory().total, memory_limit_bytes() or 2**62)), "main memory"
        ),
        step_times=times,
        made={
            **made_here(),
            "system": platform.platform(),
            "models": sorted({own.model for own in steps}),
            "batch_sizes": sorted({own.n_examples for own in steps}),
            "steps": len(steps),
            "held_out": len(unseen),
            "error": held_out._asdict(),
            "error_of_macs_alone": macs_alone._asdict(),
        },
    )
    found = Calibration(device, by_macs, tuple(steps), held_out, macs_alone)
    if out is not None:
        found.save(Path(out))
    return found


def _fact(value: float, note: str) -> Fact:
    return Fact(value=float(f"{value:.5g}"), source=CALIBRATED, sure="measured", note=note)


def _most(steps: Sequence[Timed], own: Timed) -> int:
    """MACs of the full step of its network and batch size."""
    return max(o.macs for o in steps if (o.model, o.n_examples) == (own.model, own.n_examples))


def _benches(
    models: Sequence[str], batch_sizes: Sequence[int], vectors: int, rng: np.random.Generator
) -> Iterator[tuple[Timed, Callable[[int], object]]]:
    """Every step to be timed: what it is, and a function of the number of the visit that computes it."""
    for name in models:
        with Rngs(0).seeded_globals("calibration"):
            module, example = _network(name)
            structure = find_groups(module, example)
        engine = Engine(module, structure)
        for n_examples in batch_sizes:
            x, y = _batch(example, structure, n_examples, rng)
            for number, counts in enumerate(_vectors(structure, vectors, rng)):
                thinned = counts != structure.full_counts()
                redrawn = thinned and number % 2 == 1
                drawn = [sample_mask(structure, counts, rng) for _ in range(N_MASKS if redrawn else 1)]
                masks = drawn if thinned else [None]

                def step(visit: int, x=x, y=y, masks=masks, engine=engine) -> object:  # type: ignore[no-untyped-def]
                    return engine.step(x, y, masks[visit % len(masks)], 0.0)

                work = work_of(module, structure, counts, n_examples, redrawn=redrawn)
                macs = training_macs(structure, counts) * n_examples
                fitted = number % HELD_OUT != HELD_OUT - 1
                yield Timed(name, n_examples, counts, redrawn, macs, work, fitted), step


def _network(name: str) -> tuple[torch.nn.Module, Tensor]:
    """A bundled network, and two random examples for it."""
    model = load(Model, name).model_validate({})  # type: ignore[type-abstract]
    for shape, vocabulary in INPUTS:
        try:
            module = model.build(shape, N_OUTPUTS, vocabulary)
        except InputError:
            continue
        if vocabulary is None:
            return module, torch.randn(2, *shape)
        return module, torch.randint(vocabulary, (2, *shape))
    raise InputError(f"model {name} cannot be calibrated with: it takes no images, rows or texts")


def _batch(
    example: Tensor, structure: Structure, n_examples: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Random inputs and labels, in the memory layout of a run."""
    x = example[torch.from_numpy(rng.integers(2, size=n_examples))]
    if x.dim() == 4 and layout_of("channels_last", structure, "cpu") == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    return x, torch.from_numpy(rng.integers(N_OUTPUTS, size=n_examples))


def _vectors(structure: Structure, n: int, rng: np.random.Generator) -> Iterator[Counts]:
    """The full network, and n random vectors about a random rate each."""
    yield structure.full_counts()
    every = range(len(structure.groups))
    for _ in range(n):
        rates = rng.random() + 0.3 * rng.standard_normal(len(every))
        yield keep_counts(structure, np.clip(rates, 0.0, 1 - LEAST_KEPT), tuple(every))


def _least_s(steps: Sequence[Callable[[int], object]], repeats: int) -> list[float]:
    """The least processor seconds of each step; steps are visited in turn, first without being timed."""
    for step in steps:
        step(0)
    least = [float("inf")] * len(steps)
    for visit in range(1, repeats + 1):
        for place, step in enumerate(steps):
            step(2 * visit)
            begun = time.thread_time()
            step(2 * visit + 1)
            least[place] = min(least[place], time.thread_time() - begun)
    return least
