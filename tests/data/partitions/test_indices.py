"""Partitions from files: order of the clients, subsets, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions import Split
from distreal_sim.data.partitions.indices import Indices

LABELS = np.zeros(6, np.int64)


def dealt(folder: Path, content: Any, n_clients: int | None = None, seed: int = 0, **options: Any) -> Split:
    path = folder / "clients.json"
    path.write_text(json.dumps(content))
    return Indices(file=path, **options).split(LABELS, None, n_clients, np.random.default_rng(seed))


def lists(split: Split) -> list[list[int]]:
    return [split[c].tolist() for c in range(len(split))]


def test_numbers_count_names_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    """10 comes after 9, and examples stay in the order of the list; example 0 is nobody's."""
    assert lists(dealt(tmp_path, {"10": [5], "9": [4, 2], "1": [1]})) == [[1], [4, 2], [5]]
    assert lists(dealt(tmp_path, {"zoe": [5], "ann": [0, 1]})) == [[5], [0, 1]]
    assert lists(dealt(tmp_path, [[3], [0, 5]])) == [[3], [0, 5]]


def test_npz_gives_what_json_gives(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", **{"1": np.array([5]), "0": np.array([4, 2], np.uint8)})
    split = Indices(file=tmp_path / "c.npz").split(LABELS, None, 2, np.random.default_rng(0))
    assert lists(split) == [[4, 2], [5]]
    assert split.order.dtype == split.offsets.dtype == np.int64


def test_a_smaller_number_takes_a_random_subset(tmp_path: Path) -> None:
    """2 of 3 clients: 3 subsets, of which 40 generators show all (each missed with probability 9e-8)."""
    seen = {tuple(map(tuple, lists(dealt(tmp_path, [[0], [1, 2], [3]], 2, seed)))) for seed in range(40)}
    assert seen == {((0,), (1, 2)), ((0,), (3,)), ((1, 2), (3,))}


def test_shared_examples(tmp_path: Path) -> None:
    assert lists(dealt(tmp_path, [[0, 1], [1, 1]], shared=True)) == [[0, 1], [1, 1]]
    with pytest.raises(InputError, match=r"example 1 belongs to clients a and b \(2 such examples\)"):
        dealt(tmp_path, {"a": [0, 1, 2], "b": [2, 1]})
    with pytest.raises(InputError, match="example 4 belongs to client 0 twice"):
        dealt(tmp_path, [[4, 4]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([[0], [6]], r"client 1 has index 6, the data set has 6 training examples, 0 .. 5"),
        ([[-1]], "client 0 has index -1"),
        ([[0], []], "client 1 has no examples"),
        ([[0.5]], "client 0 must have a list of whole numbers"),
        ({"a": {"train": [1]}}, "client a must have a list of whole numbers"),
        ([[True]], "must have a list of whole numbers"),
        ({}, "has no clients"),
        ("x", "holds str"),
    ],
)
def test_mistakes_name_the_file_and_the_client(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        dealt(tmp_path, content)
    assert str(tmp_path / "clients.json") in str(caught.value)


def test_more_clients_than_the_file_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 2 clients, n_clients is 3; it can be 1 to 2, or left out"):
        dealt(tmp_path, [[0], [1]], 3)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.json", b"{", "is no json file"),
        ("a.npz", b"PK nothing", "cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} {message}"):
            Indices(file=tmp_path / name).split(LABELS, None, None, np.random.default_rng(0))


def test_no_example_may_be_held_out_before(tmp_path: Path) -> None:
    """Else the numbers would name other examples."""
    partition = Indices(file=tmp_path / "clients.json")
    dataset = toy().dataset.model_copy(update={"validation": 0.1})
    with pytest.raises(InputError, match="cannot be used with partition indices"):
        toy(partition=partition, dataset=dataset)
