"""Time of a full training step with the channels last in memory against PyTorch's normal layout, one thread.

    python benchmarks/memory_format.py [--models NAME ...] [--batches 8 16 32 64] [--seconds 8]

Processor time; the two alternate, and the ratio is the median over turns, with its quartiles. A model's
`channels_last_from`, which `local.memory_format: auto` goes by, is the smallest batch size from which the
ratio stays below 1.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from distreal_sim.models import Model
from distreal_sim.plugins import load, names
from distreal_sim.process import prepare_process
from distreal_sim.rng import Rngs
from distreal_sim.thinning.engine import Engine
from distreal_sim.thinning.groups import find_groups

GREY = ("femnist_cnn", "heterofl_cnn", "logistic")
"""Models for 1x28x28; the others get 3x32x32."""


def measure(name: str, batch: int, seconds: float) -> np.ndarray:
    """The ratio in each turn, the first not counted."""
    shape = (1, 28, 28) if name in GREY else (3, 32, 32)
    rngs = Rngs(0)
    with rngs.torch_default("init"):
        module = load(Model, name)().build(shape, 10)
    engine = Engine(module, find_groups(module, torch.zeros(2, *shape)))
    rng = rngs("data")
    x = torch.from_numpy(rng.normal(size=(batch, *shape)).astype(np.float32))
    inputs = {"contiguous": x, "channels_last": x.to(memory_format=torch.channels_last)}
    y = torch.from_numpy(rng.integers(0, 10, batch))
    ratios = []
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end or turn < 4:
        took = {}
        for layout in sorted(inputs, reverse=turn % 2 == 0):
            start = time.process_time()
            engine.step(inputs[layout], y, None, 1e-4)
            took[layout] = time.process_time() - start
        if turn:
            ratios.append(took["channels_last"] / took["contiguous"])
        turn += 1
    return np.array(ratios)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=names(Model), default=names(Model))
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line of the table")
    options = parser.parse_args()
    prepare_process()
    print(f"{'model':15}{'batch':>6}{'ratio':>8}  quartiles")
    for name in options.models:
        for batch in options.batches:
            low, middle, high = np.quantile(measure(name, batch, options.seconds), (0.25, 0.5, 0.75))
            print(f"{name:15}{batch:6}{middle:8.3f}  {low:.3f}-{high:.3f}", flush=True)


if __name__ == "__main__":
    main()
