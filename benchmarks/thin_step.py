"""Time of a thinned step against a dense step of a network with the same shapes, and against a full step.

    python benchmarks/thin_step.py [--models NAME ...] [--batches 16 32 64] [--keep 0.75 0.5 0.25]
                                   [--seconds 60] [--json FILE]

One thread, processor time. Thinned: draw the mask, gather, forward, backward, update, scatter. Dense: the
faster of plain eager PyTorch with torch.optim.SGD and our own full step, both on a physically small network
of the same shapes. Full: our step of the whole network; beside thinned / full stands the ratio of their MACs.
All get batches in the memory format of --layout. All steps of a model and batch size
are interleaved; a ratio is the median over turns, with its quartiles, so that a busy machine disturbs all
alike. Every coupling group keeps the same share, hidden linear layers too (or not: --linear full). With
--masks same all steps keep the same channels, as clients do that keep their sub-network for a round.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distreal_sim.base.plugins import load
from distreal_sim.base.process import prepare_process
from distreal_sim.base.rng import Rngs
from distreal_sim.models import Model
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import keep_counts, sample_mask
from distreal_sim.thinning.shrink import shrink

GREY_28, RGB_32 = (1, 28, 28), (3, 32, 32)

MODELS: dict[str, tuple[dict[str, Any], tuple[int, int, int], int]] = {
    "small_cnn": ({}, RGB_32, 10),
    "femnist_cnn": ({"norm": "batch"}, GREY_28, 62),
    "cnn_cifar": ({"norm": "batch"}, RGB_32, 10),
    "pfl_cnn": ({"pool_dropout": 0, "unit_dropout": 0}, RGB_32, 10),
    "resnet20": ({}, RGB_32, 10),
    "densenet40_bc": ({}, RGB_32, 10),
    "heterofl_cnn": ({}, GREY_28, 10),
    "mobilenet_v2": ({}, RGB_32, 10),
    "vgg11": ({"norm": "batch", "unit_dropout": 0}, RGB_32, 10),
    "densenet100_bc": ({}, RGB_32, 10),
    "resnet18": ({}, RGB_32, 10),
    "preresnet": ({}, RGB_32, 10),
}
"""Options, input shape and classes of each network that can be thinned, the quick ones first."""

TARGET = 1.15
"""What thinned / dense should be at most."""

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}

Step = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """Steps to measure at one keep rate; macs: of the thinned step as a share of the full one's."""

    keep_rate: float
    macs: float
    steps: dict[str, Step]


def interleaved(steps: dict[str, Step], seconds: float, least: int) -> dict[str, np.ndarray]:
    """Milliseconds of each step in each turn, for about `seconds`, the first two turns not counted."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end or turn < least + 2:
        for name in order:
            start = time.process_time()
            steps[name]()
            if turn >= 2:
                times[name].append(1e3 * (time.process_time() - start))
        order = order[1:] + order[:1]  # nobody always runs after the same neighbour
        turn += 1
    return {name: np.array(values) for name, values in times.items()}


def plain_step(network: nn.Module, x: Tensor, y: Tensor) -> Step:
    """A step of plain eager PyTorch."""
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    network.train()

    def step() -> float:
        optimiser.zero_grad()
        loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def cases(name: str, batch: int, options: argparse.Namespace) -> tuple[Step, list[Case]]:
    """The full step, and the steps at each keep rate."""
    values, shape, n_classes = MODELS[name]
    rngs = Rngs(0)
    model = load(Model, name).model_validate(values)
    with rngs.seeded_globals("init"):
        module = model.build(shape, n_classes)
    example = torch.zeros(2, *shape)
    structure = find_groups(module, example)
    rng = rngs("data")
    x = torch.from_numpy(rng.normal(size=(batch, *shape)).astype(np.float32))
    x = x.to(memory_format=LAYOUTS[options.layout])
    y = torch.from_numpy(rng.integers(0, n_classes, batch))
    found = []
    for keep_rate in options.keep:
        thinnable = structure.thinnable(options.linear == "thin")
        counts = keep_counts(structure, [1 - keep_rate] * len(thinnable), thinnable)
        with rngs.seeded_globals("init"):
            small = shrink(module, structure, counts)
        ours = Engine(small, find_groups(small, example))
        wide = Engine(module, structure)  # one for each rate, which keeps what it has gathered
        same = sample_mask(structure, counts, rng) if options.masks == "same" else None

        def thinned(wide: Engine = wide, counts: tuple[int, ...] = counts, same: Any = same) -> None:
            wide.step(x, y, same or sample_mask(structure, counts, rng), 1e-3)

        def dense(ours: Engine = ours) -> None:
            ours.step(x, y, None, 1e-3)

        macs = training_macs(structure, counts) / training_macs(structure, structure.full_counts())
        steps = {"thinned": thinned, "ours": dense, "plain": plain_step(small, x, y)}
        found.append(Case(keep_rate, macs, steps))
    whole = Engine(module, structure)
    return lambda: whole.step(x, y, None, 1e-3), found


def measure(name: str, batch: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A record for each keep rate."""
    full, found = cases(name, batch, options)
    steps = {f"{n} {case.keep_rate}": step for case in found for n, step in case.steps.items()}
    times = interleaved({"full": full, **steps}, options.seconds, options.turns)
    records = []
    for case in found:
        thinned, ours, plain = (times[f"{n} {case.keep_rate}"] for n in ("thinned", "ours", "plain"))
        dense = ours if np.median(ours) <= np.median(plain) else plain
        low, ratio, high = (float(q) for q in np.quantile(thinned / dense, (0.25, 0.5, 0.75)))
        records.append(
            {
                "model": name,
                "batch": batch,
                "keep_rate": case.keep_rate,
                "linear": options.linear,
                "masks": options.masks,
                "layout": options.layout,
                "turns": len(thinned),
                "thinned_ms": float(np.median(thinned)),
                "dense_ours_ms": float(np.median(ours)),
                "dense_plain_ms": float(np.median(plain)),
                "full_ms": float(np.median(times["full"])),
                "ratio": ratio,
                "ratio_quartiles": [low, high],
                "full_ratio": float(np.median(thinned / times["full"])),
                "macs_ratio": case.macs,
            }
        )
    return records


def show(record: dict[str, Any]) -> None:
    """One line of the table."""
    low, high = record["ratio_quartiles"]
    milliseconds = (record[f"{key}_ms"] for key in ("thinned", "dense_ours", "dense_plain", "full"))
    print(
        f"{record['model']:15}{record['batch']:6}{record['keep_rate']:6.2f}",
        *(f"{ms:9.2f}" for ms in milliseconds),
        f"{record['ratio']:8.3f}  {low:.2f}-{high:.2f}{record['full_ratio']:9.3f}{record['macs_ratio']:8.3f}",
        f" {record['layout']}",
        flush=True,
    )


def summarise(records: list[dict[str, Any]]) -> None:
    """How many cells meet the target, in all and by model."""
    for name in [*dict.fromkeys(r["model"] for r in records), "all"]:
        ratios = [r["ratio"] for r in records if name in (r["model"], "all")]
        within = sum(ratio <= TARGET for ratio in ratios)
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(
            f"{name:15}{within:3} of {len(ratios):3} cells within {TARGET}; "
            f"geometric mean {mean:.3f}, worst {max(ratios):.3f}"
        )


def main() -> None:
    """Measures, prints the table and writes the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--keep", nargs="+", type=float, default=[0.75, 0.5, 0.25])
    parser.add_argument("--linear", choices=("thin", "full"), default="thin")
    parser.add_argument("--masks", choices=("fresh", "same"), default="fresh")
    parser.add_argument("--layout", choices=LAYOUTS, default="channels_last")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each model and batch size")
    parser.add_argument("--turns", type=int, default=5, help="at least")
    parser.add_argument("--json", type=Path, help="write the records to this file")
    options = parser.parse_args()
    prepare_process()
    print(f"one thread, torch {torch.__version__}, masks {options.masks}, linear layers {options.linear}; ms")
    heads = ("thinned", "dense", "plain", "full")
    print(f"{'model':15}{'batch':>6}{'keep':>6}", *(f"{head:>9}" for head in heads), end=" ")
    print(f"{'ratio':>8}  quartiles{'/ full':>9}{'MACs':>8}  layout")
    records: list[dict[str, Any]] = []
    for name in options.models:
        for batch in options.batches:
            found = measure(name, batch, options)
            records += found
            for record in found:
                show(record)
    summarise(records)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
