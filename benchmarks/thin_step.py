"""Wall time of a thinned step against a dense step of a network with the same shapes, on one thread.

    python benchmarks/thin_step.py [--models NAME ...] [--batch 32] [--seconds 8] [--json FILE]

Thinned: draw the mask, gather, forward, backward, update, scatter. Dense: the faster of plain eager PyTorch
with torch.optim.SGD and our own full step, both on a physically small network of the same shapes. All three
get batches in the memory layout of a run, channels last, or with --layout contiguous in PyTorch's normal one.
They are interleaved and the ratio is the median over turns, so that a busy machine disturbs all alike.
Every coupling group keeps the same share; networks with hidden linear
layers are measured with those thinned too (drop_linear) and without.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from distreal_sim.models import Model
from distreal_sim.plugins import load
from distreal_sim.rng import Rngs
from distreal_sim.thinning.engine import Engine
from distreal_sim.thinning.groups import find_groups
from distreal_sim.thinning.masks import draw_orders, keep_counts, take
from distreal_sim.thinning.shrink import shrink

MODELS: dict[str, tuple[dict[str, str], tuple[int, int, int], int]] = {
    "femnist_cnn": ({"norm": "batch"}, (1, 28, 28), 62),
    "cnn_cifar": ({"norm": "batch"}, (3, 32, 32), 10),
    "resnet20": ({}, (3, 32, 32), 10),
    "densenet40_bc": ({}, (3, 32, 32), 10),
}
"""Options, input shape and classes of each network that is measured."""

KEEP_RATES = (0.75, 0.5, 0.25)

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def interleaved(steps: dict[str, Callable[[], Any]], seconds: float) -> dict[str, np.ndarray]:
    """Milliseconds of each step in each turn, for about `seconds`, the first turns not counted."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end or turn < 8:
        for name in order:
            start = time.perf_counter()
            steps[name]()
            if turn >= 3:
                times[name].append(1e3 * (time.perf_counter() - start))
        order = order[1:] + order[:1]  # nobody always runs after the same neighbour
        turn += 1
    return {name: np.array(values) for name, values in times.items()}


def measure(
    name: str, keep_rate: float, drop_linear: bool, batch: int, seconds: float, layout: str
) -> dict[str, Any]:
    """One line of the table."""
    options, shape, n_classes = MODELS[name]
    rngs = Rngs(0)
    with rngs.torch_default("init"):
        module = load(Model, name)(**options).build(shape, n_classes)
        structure = find_groups(module, torch.zeros(2, *shape))
        thinnable = structure.thinnable(drop_linear)
        counts = keep_counts(structure, [1 - keep_rate] * len(thinnable), thinnable)
        small = shrink(module, structure, counts)
    rng = rngs("data")
    x = torch.from_numpy(rng.normal(size=(batch, *shape)).astype(np.float32))
    x = x.to(memory_format=LAYOUTS[layout])
    y = torch.from_numpy(rng.integers(0, n_classes, batch))
    thinned = Engine(module, structure)
    ours = Engine(small, find_groups(small, torch.zeros(2, *shape)))
    optimiser = torch.optim.SGD(small.parameters(), lr=1e-3)
    small.train()

    def plain_step() -> float:
        optimiser.zero_grad()
        loss = F.cross_entropy(small(x), y)
        loss.backward()
        optimiser.step()
        return loss.item()

    times = interleaved(
        {
            "thinned": lambda: thinned.step(
                x, y, take(structure, draw_orders(structure, rng, "random"), counts), 1e-3
            ),
            "ours": lambda: ours.step(x, y, None, 1e-3),
            "plain": plain_step,
        },
        seconds,
    )
    return {
        "model": name,
        "keep_rate": keep_rate,
        "drop_linear": drop_linear,
        "batch": batch,
        "layout": layout,
        "thinned_ms": float(np.median(times["thinned"])),
        "dense_ours_ms": float(np.median(times["ours"])),
        "dense_plain_ms": float(np.median(times["plain"])),
        "ratio": max(float(np.median(times["thinned"] / times[dense])) for dense in ("ours", "plain")),
    }


def main() -> None:
    """Measures, prints the table and writes the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layout", choices=LAYOUTS, default="channels_last")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line of the table")
    parser.add_argument("--json", type=Path, help="write the records to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"batch {options.batch}, {options.layout}, one thread, torch {torch.__version__}; "
        "ratio = thinned / faster dense step"
    )
    print(
        f"{'model':15}{'keep':>6}{'linear':>8}{'thinned ms':>12}{'dense ms':>12}{'plain ms':>12}{'ratio':>8}"
    )
    records = []
    for name in options.models:
        for drop_linear in (True, False) if name in ("femnist_cnn", "cnn_cifar") else (True,):
            for keep_rate in KEEP_RATES:
                record = measure(name, keep_rate, drop_linear, options.batch, options.seconds, options.layout)
                records.append(record)
                linear = "thin" if drop_linear else "full"
                times = [record[key] for key in ("thinned_ms", "dense_ours_ms", "dense_plain_ms")]
                cells = "".join(f"{ms:12.2f}" for ms in times)
                print(f"{name:15}{keep_rate:6.2f}{linear:>8}{cells}{record['ratio']:8.3f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
