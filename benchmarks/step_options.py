"""Time of a full training step with one value of an option of `local` against another, one thread.

    python benchmarks/step_options.py [memory_format] [precision] [--models NAME ...] [--batches 8 16 32 64]

Processor time; the two alternate, and the ratio is the median over turns, with its quartiles.
memory_format: the channels last in memory against PyTorch's normal layout. precision: bfloat16 against
float32, with the channels last; the processor decides.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from distreal_sim.base.plugins import load, names
from distreal_sim.base.process import prepare_process
from distreal_sim.base.rng import Rngs
from distreal_sim.models import Model
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine

GREY = ("femnist_cnn", "heterofl_cnn", "logistic")
"""Models for 1x28x28; the others get 3x32x32."""

OPTIONS = ("memory_format", "precision")

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def steps(option: str, name: str, batch: int) -> list[Callable[[], float]]:
    """The two kinds of step that are compared."""
    shape = (1, 28, 28) if name in GREY else (3, 32, 32)
    rngs = Rngs(0)
    model = load(Model, name)()
    with rngs.seeded_globals("init"):
        module = model.build(shape, 10)
    structure = find_groups(module, torch.zeros(2, *shape))
    rng = rngs("data")
    images = torch.from_numpy(rng.normal(size=(batch, *shape)).astype(np.float32))
    y = torch.from_numpy(rng.integers(0, 10, batch))

    def step(layout: str, precision: str) -> Callable[[], float]:
        engine = Engine(module, structure, precision=precision)
        x = images.to(memory_format=LAYOUTS[layout])
        return lambda: engine.step(x, y, None, 1e-4)

    if option == "memory_format":
        return [step(layout, "float32") for layout in LAYOUTS]
    return [step("channels_last", precision) for precision in ("bfloat16", "float32")]


def measure(option: str, name: str, batch: int, seconds: float) -> np.ndarray:
    """The ratio in each turn, the first not counted."""
    compared = steps(option, name, batch)
    ratios = []
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end or turn < 4:
        took = [0.0, 0.0]
        for which in (0, 1) if turn % 2 else (1, 0):
            start = time.process_time()
            compared[which]()
            took[which] = time.process_time() - start
        if turn:
            ratios.append(took[0] / took[1])
        turn += 1
    return np.array(ratios)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("options", nargs="*", metavar="OPTION", help=f"{', '.join(OPTIONS)} [default: both]")
    parser.add_argument("--models", nargs="+", choices=names(Model), default=names(Model))
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line of the table")
    options = parser.parse_args()
    prepare_process()
    if unknown := set(options.options) - set(OPTIONS):
        parser.error(f"no option to measure: {', '.join(sorted(unknown))}")
    print(f"{'option':15}{'model':15}{'batch':>6}{'ratio':>8}  quartiles")
    for option in options.options or OPTIONS:
        for name in options.models:
            for batch in options.batches:
                low, middle, high = np.quantile(
                    measure(option, name, batch, options.seconds), (0.25, 0.5, 0.75)
                )
                print(f"{option:15}{name:15}{batch:6}{middle:8.3f}  {low:.3f}-{high:.3f}", flush=True)


if __name__ == "__main__":
    main()
