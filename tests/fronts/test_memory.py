"""Fronts that were made for memory too."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.file import load_front, read_front
from distreal_sim.fronts.front import Front, make_front
from distreal_sim.thinning.coupling.groups import find_groups


def entry(macs: int, memory: int, score: float) -> Entry:
    return Entry((macs / 1000,), (macs,), macs, score, memory_bytes=memory)


TABLE = Front(
    (entry(20, 60, 0.5), entry(50, 40, 0.4), entry(50, 80, 0.8), entry(60, 70, 0.6), entry(100, 100, 1.0)),
    "m",
    ("g",),
    {},
)
"""The second entry is there for devices with memory from 40 to 60, the fourth for those with 70 to 80."""


def test_devices_with_enough_memory_take_the_highest_score() -> None:
    """Scores 0.5, 0.4, 0.8, 0.6, 1 by growing MACs: up to 49 MACs the first, from 50 on the third, 60 MACs
    buy the fourth, which is worse, from 100 on the last. So three entries are used.
    """
    assert [TABLE.lookup(b) for b in (-1, 20, 49, 50, 60, 99, 100, math.inf)] == [0, 0, 0, 2, 2, 2, 4, 4]
    assert TABLE.ranks == (1, 0, 3, 2, 4)
    assert [e.macs for e in TABLE.fastest.entries] == [20, 50, 100]
    assert not TABLE.fastest.has_memory
    assert TABLE.fastest.fastest == TABLE.fastest


def test_volume_by_hand() -> None:
    """Slices of memory: from 0.4 to 0.6 only (0.5, 0.4) fits, with an area of 0.55 * 0.4; to 0.7 the first
    too: 0.85 * 0.5; to 0.8 (0.6, 0.6) also: 0.4 * 0.5 + 0.45 * 0.6; to 1 the third: 0.3 * 0.5 + 0.55 * 0.8;
    to 1.05 the last: 0.3 * 0.5 + 0.5 * 0.8 + 0.05.
    """
    slices = (0.2 * 0.22, 0.1 * 0.425, 0.1 * 0.47, 0.2 * 0.59, 0.05 * 0.6)
    assert TABLE.hypervolume == pytest.approx(sum(slices), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_volume_against_inclusion_and_exclusion(seed: int) -> None:
    """The volume of a union of boxes is the alternating sum over all sets of what the boxes share."""
    rng = np.random.default_rng(seed)
    points = [(*map(int, rng.integers(1, 99, 2)), float(rng.uniform(0, 1.2))) for _ in range(6)]
    points = [*sorted(points), (100, 100, 1.0)]
    front = Front(tuple(entry(*point) for point in points), "m", ("g",), {})
    total = 0.0
    for n in range(1, 8):
        for chosen in combinations(points, n):
            macs, memory, score = (list(column) for column in zip(*chosen, strict=True))
            shared = (1.05 - max(macs) / 100) * (1.05 - max(memory) / 100) * min(score)
            total += shared if n % 2 else -shared
    assert front.hypervolume == pytest.approx(total, abs=1e-12)


def made() -> tuple[Front, tuple[object, ...]]:
    network = nn.Sequential(
        nn.Conv2d(1, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    structure = find_groups(network, torch.zeros(2, 1, 4, 4))
    rates = np.array([[0.75], [0.5], [0.25], [0.0]])
    front = make_front(
        structure, (0,), rates, [0.3, 0.2, 0.2, 1.0], memory_bytes=[40, 30, 30, 80], model="m", made={}
    )
    return front, (structure, (0,), "m")


def test_less_memory_keeps_an_entry(tmp_path: Path) -> None:
    """Half of the channels are worse than a quarter of them, but take 30 bytes and not 40; 6 of 8 cost more
    MACs than half, for the same score and memory. The file says so, and gives the same front back.
    """
    front, network = made()
    assert [(e.counts, e.memory_bytes) for e in front.entries] == [((2,), 40), ((4,), 30), ((8,), 80)]
    front.save(tmp_path / "front.json")
    assert read_front(tmp_path / "front.json") == load_front(tmp_path / "front.json", *network) == front
    assert json.loads((tmp_path / "front.json").read_text())["entries"][1]["peak_memory_bytes"] == 30


@pytest.mark.parametrize(
    ("number", "value", "message"),
    [
        (1, 40, "no entry but the zero vector may cost as much as another"),
        (1, 0, "peak_memory_bytes must be > 0 in every entry"),
        (1, None, "not a front file, or damaged"),
        (0, 41, "hypervolume is"),
    ],
)
def test_refused(tmp_path: Path, number: int, value: object, message: str) -> None:
    path = tmp_path / "front.json"
    front, _ = made()
    data = front.plain()
    data["entries"][number]["peak_memory_bytes"] = value
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        read_front(path)
    del data["entries"][number]["peak_memory_bytes"]
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="'peak_memory_bytes' is missing"):
        read_front(path)
