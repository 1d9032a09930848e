"""Fronts on disk: the round trip, and each reason for which one is refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.fronts.file import load_front, read_front
from distreal_sim.fronts.front import Front, make_front, uniform_rates
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Structure


@pytest.fixture(scope="module")
def structure() -> Structure:
    """Convolutions of 4 and 8 filters and a hidden linear layer of 6."""
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.ReLU()]
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)]
    network = nn.Sequential(*layers, *pooled)
    return find_groups(network, torch.zeros(2, 2, 6, 6))


GROUPS = (0, 1)


@pytest.fixture
def front(structure: Structure) -> Front:
    made = {"how": "uniform rates", "entries": 4, "model": "toy network"}
    return make_front(structure, GROUPS, uniform_rates(4, 2), None, model="abc123", made=made)


def test_round_trip(tmp_path: Path, structure: Structure, front: Front) -> None:
    """Equal, the floats too: 1/3 comes back to the bit."""
    front.save(tmp_path / "front.json")
    assert load_front(tmp_path / "front.json", structure, GROUPS, "abc123") == front
    rates = np.array([[1 / 3, 0.1], [0.7, 0.2]])
    third = make_front(structure, GROUPS, rates, [0.1 + 0.2, 1 / 3], model="abc123", made={})
    third.save(tmp_path / "front.json")
    assert load_front(tmp_path / "front.json", structure, GROUPS, "abc123") == third
    shares = make_front(structure, GROUPS, rates, [0.3, 0.1], shares=[1 / 3, 0.7], model="abc123", made={})
    shares.save(tmp_path / "front.json")
    assert [entry.share for entry in shares.entries] == [0.7, 1 / 3, 1.0]
    assert load_front(tmp_path / "front.json", structure, GROUPS, "abc123") == shares
    assert read_front(tmp_path / "front.json") == shares
    assert list(tmp_path.iterdir()) == [tmp_path / "front.json"]


def set_to(*path: Any, value: Any) -> Callable[[Any], Any]:
    def change(data: Any) -> Any:
        target = data
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
        return data

    return change


def without(key: str) -> Callable[[Any], Any]:
    return lambda data: {k: v for k, v in data.items() if k != key}


def without_in_entry(key: str) -> Callable[[Any], Any]:
    def change(data: Any) -> Any:
        del data["entries"][0][key]
        return data

    return change


def swapped(data: Any) -> Any:
    entries = data["entries"]
    return {**data, "entries": [entries[1], entries[0], *entries[2:]]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            set_to("model", value="fff"),
            " was made for another model (toy network): its fingerprint is fff, that of this run's model is "
            "abc123; make a front for this model, or take method.front={uniform: 16}",
        ),
        (
            set_to("groups", value=["0", "2", "6"]),
            " has rates for the layers 0, 2, 6, but this run thins 0, 2; set method.drop_linear as it was "
            "when the front was made",
        ),
        (set_to("format", value=2), " is not a front file, or damaged: format 2, this version reads 3"),
        (without("format"), " is not a front file: key 'format' is missing"),
        (without("entries"), " is not a front file: key 'entries' is missing"),
        (
            lambda data: [data],
            " is not a front file, or damaged: list indices must be integers or slices, not str",
        ),
        (  # 1296 * 2 + 108 * 2 * 4 + 3 * 4 * 6 + 3 * 6 * 3
            set_to("entries", 1, "macs_per_example", value=7),
            ", entry 2: macs_per_example is 7, but its rates and scores make it 3582; was it made for inputs "
            "of another size?",
        ),
        (
            set_to("entries", 0, "kept", value=[2, 2, 6]),
            ", entry 1: kept is [2, 2, 6], but its rates and scores make it [1, 2, 6]",
        ),
        (
            set_to("entries", 0, "rates", value=[0.5]),
            ", entry 1: a dropout vector needs 2 rates, one per coupling group, not 1",
        ),
        (
            set_to("entries", 0, "rates", value=[0.5, 1.5]),
            ", entry 1: drop rate 1.5 of '2' must be in [0, 1)",
        ),
        (
            set_to("entries", 0, "rates", value=[0.5, float("nan")]),
            ", entry 1: drop rate nan of '2' must be in [0, 1)",
        ),
        (
            set_to("entries", 0, "macs_per_example", value=float("inf")),
            " is not a front file, or damaged: 'float' object cannot be interpreted as an integer",
        ),
        (
            set_to("entries", 0, "rates", value=["a", 0]),
            " is not a front file, or damaged: could not convert string to float: 'a'",
        ),
        (
            swapped,
            ": share * macs_per_example and score must grow from entry to entry (only the score of the zero "
            "vector may be smaller)",
        ),
        (without_in_entry("bytes"), ", entry 1: key 'bytes' is missing"),
        (without("hypervolume"), ": key 'hypervolume' is missing"),
        (
            set_to("entries", 1, "score", value=float("nan")),
            ": share * macs_per_example and score must grow from entry to entry (only the score of the zero "
            "vector may be smaller)",
        ),
        (
            lambda data: {**data, "entries": data["entries"][:-1]},
            ": the last entry must be the zero vector (all rates 0) with share 1",
        ),
        (
            set_to("entries", value=[]),
            ": the last entry must be the zero vector (all rates 0) with share 1",
        ),
        (
            set_to("entries", -1, "share", value=0.95),
            ": the last entry must be the zero vector (all rates 0) with share 1",
        ),
        (  # 0.2 * 3582 = 716.4 MACs, less than the first entry's 1530
            set_to("entries", 1, "share", value=0.2),
            ": share * macs_per_example and score must grow from entry to entry (only the score of the zero "
            "vector may be smaller)",
        ),
        (
            set_to("entries", 1, "share", value=0),
            " is not a front file, or damaged: share 0.0 must be in (0, 1]",
        ),
        (
            set_to("entries", 1, "share", value=1.01),
            " is not a front file, or damaged: share 1.01 must be in (0, 1]",
        ),
        (
            set_to("entries", 1, "share", value=float("nan")),
            " is not a front file, or damaged: share nan must be in (0, 1]",
        ),
        (lambda data: without_in_entry("share")(data), " is not a front file: key 'share' is missing"),
    ],
)
def test_refused(
    tmp_path: Path, structure: Structure, front: Front, change: Callable[[Any], Any], expected: str
) -> None:
    path = tmp_path / "front.json"
    front.save(path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError) as caught:
        load_front(path, structure, GROUPS, "abc123")
    assert str(caught.value) == f"front {path}{expected}"


DERIVED = {
    "kept": [1, 2, 5],
    "keep_rate": 0.6,
    "macs_per_example": 1,
    "forward_macs_per_example": 1,
    "backward_macs_per_example": 1,
    "parameters": 1,
    "bytes": 1,
}
"""Figures of an entry that follow from its rates, and wrong values."""


@pytest.mark.parametrize("key", DERIVED)
def test_every_derived_figure_is_checked(
    key: str, tmp_path: Path, structure: Structure, front: Front
) -> None:
    """Against the network; those that follow from others, without it too."""
    path = tmp_path / "front.json"
    front.save(path)
    path.write_text(json.dumps(set_to("entries", 1, key, value=DERIVED[key])(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=rf"entry 2: {key} is .*, but its rates and scores make it"):
        load_front(path, structure, GROUPS, "abc123")
    with pytest.raises(InputError, match=r"entry 2: .* is .*, but its rates and scores make it"):
        read_front(path)


def test_the_hypervolume_is_checked(tmp_path: Path, structure: Structure, front: Front) -> None:
    path = tmp_path / "front.json"
    front.save(path)
    path.write_text(json.dumps(set_to("hypervolume", value=0.7)(json.loads(path.read_text()))))
    expected = re.escape(f"hypervolume is 0.7, but its rates and scores make it {front.hypervolume}")
    with pytest.raises(InputError, match=expected):
        load_front(path, structure, GROUPS, "abc123")
    with pytest.raises(InputError, match=expected):
        read_front(path)


def test_what_a_file_holds(tmp_path: Path, front: Front) -> None:
    """The keys that docs/how-to/search.md lists; `made` is no part of the content's hash."""
    front.save(tmp_path / "front.json")
    data = json.loads((tmp_path / "front.json").read_text())
    assert list(data) == ["format", "model", "groups", "hypervolume", "made", "entries"]
    assert list(data["entries"][0]) == ["rates", "share", *DERIVED, "score", "score_error"]
    assert data["hypervolume"] == front.hypervolume
    assert replace(front, made={}).content == front.content
    others = [
        replace(front, model="x"),
        replace(front, groups=("a", "b")),
        replace(front, entries=front.entries[1:]),
    ]
    assert len({f.content for f in [front, *others]}) == 4


def test_content_does_not_depend_on_a_share_of_1(tmp_path: Path, front: Front) -> None:
    """A front without shares is identified by vectors and scores alone; any share below 1 tells it apart."""
    vectors = [(entry.rates, entry.counts, entry.score) for entry in front.entries]
    plain = json.dumps(["abc123", ["0", "2"], vectors])
    assert front.content == hashlib.sha256(plain.encode()).hexdigest()[:16]
    first, *rest = front.entries
    shared = [replace(front, entries=(replace(first, share=share), *rest)) for share in (0.5, 0.25)]
    assert len({f.content for f in [front, *shared]}) == 3


def test_damaged_and_missing_files(tmp_path: Path, structure: Structure, front: Front) -> None:
    path = tmp_path / "front.json"
    with pytest.raises(InputError, match=r"front\.json: no such file"):
        load_front(path, structure, GROUPS, "abc123")
    front.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"front\.json is not a front file, or damaged: .* line \d+ col"):
        load_front(path, structure, GROUPS, "abc123")
    path.write_bytes(b"\x80\x81\xff")
    with pytest.raises(InputError, match=r"front\.json is not a front file, or damaged"):
        load_front(path, structure, GROUPS, "abc123")
    with pytest.raises(InputError, match=r"is not a front file, or damaged: .*Is a directory"):
        load_front(tmp_path, structure, GROUPS, "abc123")


def test_made_with_drop_linear(tmp_path: Path, structure: Structure) -> None:
    """The third group is the hidden linear layer: such a front does not fit a run without drop_linear."""
    path = tmp_path / "front.json"
    make_front(structure, (0, 1, 2), uniform_rates(3, 3), None, model="abc123", made={}).save(path)
    assert len(load_front(path, structure, structure.thinnable(True), "abc123").entries) == 3
    with pytest.raises(InputError, match=r"thins 0, 2; set method\.drop_linear as it was"):
        load_front(path, structure, structure.thinnable(False), "abc123")
