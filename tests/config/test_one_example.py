"""Clients that hold one example, on which batch normalisation cannot train: the advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toys import whole_toy

from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build


@pytest.mark.parametrize(
    ("partition", "remedy"),
    [
        ({"name": "dirichlet", "alpha": 0.5}, "set partition.min_examples=2"),
        ({"name": "dirichlet", "alpha": 9, "variant": "by_client"}, "lower n_clients"),
        ({"name": "iid", "sizes": "lognormal", "sigma": 3}, "set partition.sizes=equal"),
        ({"name": "shards", "classes_per_client": 1}, "raise partition.classes_per_client"),
        ({"name": "bootstrap", "examples": 1}, "raise partition.examples"),
    ],
)
def test_the_advice_about_one_example_fits_the_partition(partition: dict[str, Any], remedy: str) -> None:
    n_clients = 300 if partition.get("variant") is None and partition["name"] == "dirichlet" else 1000
    with pytest.raises(InputError, match=rf"holds 1 example.*; {remedy}"):
        build(whole_toy(n_clients=n_clients, partition=partition))


def leaf(sizes: list[int], first: int) -> dict[str, Any]:
    users = {f"u{i}": {"x": [[(first + i) / 255] * 784] * n, "y": [i] * n} for i, n in enumerate(sizes)}
    return {"users": list(users), "num_samples": sizes, "user_data": users}


def test_the_advice_about_writers_works(tmp_path: Path) -> None:
    """Of writers with 5, 1, 9, 8, 1, 7 examples four have two or more."""
    for part, first in (("train", 0), ("test", 100)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.json").write_text(json.dumps(leaf([5, 1, 9, 8, 1, 7], first)))
    options = {
        "dataset": {"name": "femnist", "data_dir": tmp_path},
        "n_clients": None,
        "clients_per_round": 2,
    }
    with pytest.raises(InputError, match=r"holds 1 example.*; set partition.min_examples=2"):
        build(whole_toy(**options, partition={"name": "by_writer"}))
    task = build(whole_toy(**options, partition={"name": "by_writer", "min_examples": 2}))
    assert task.split.sizes.tolist() == [5, 9, 8, 7]
