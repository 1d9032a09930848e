"""What every partition keeps; a new file in `distreal_sim/partitions` is found and checked.

A field without a default must give examples of legal values, the first of which is used here. `indices`
reads the file of its example: the 600 examples dealt out to 12 clients in turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.data.partitions import Partition, Split

every_partition = pytest.mark.parametrize("name", names(Partition))

LABELS = load_digits().target[:600].astype(np.int64)
WRITERS = 100 - np.arange(600) % 12
"""Twelve writers, 89 .. 100."""


@pytest.fixture(autouse=True)
def _index_file(tmp_path: Path) -> Iterator[None]:
    """The tests run in a folder with the file that is the example of `indices`."""
    lists = [list(range(client, 600, 12)) for client in range(12)]
    (tmp_path / "clients.json").write_text(json.dumps(lists))
    with chdir(tmp_path):
        yield


def options(name: str) -> dict[str, object]:
    fields = load(Partition, name).model_fields
    return {key: f.examples[0] for key, f in fields.items() if f.examples}


def split(name: str, seed: int = 0, n_clients: int | None = 12) -> Split:
    partition = load(Partition, name)(**options(name))
    return partition.split(LABELS, WRITERS, n_clients, np.random.default_rng(seed))


@every_partition
def test_is_a_disjoint_cover_by_non_empty_clients_or_says_that_it_is_none(name):
    dealt = split(name)
    assert len(dealt) == 12
    assert dealt.order.dtype == dealt.offsets.dtype == np.int64
    assert (dealt.sizes >= 1).all()
    if not load(Partition, name).disjoint:
        return
    assert (dealt.offsets[0], dealt.offsets[-1]) == (0, 600)
    np.testing.assert_array_equal(np.sort(np.concatenate([dealt[c] for c in range(12)])), np.arange(600))


@every_partition
def test_is_a_function_of_its_arguments(name):
    """Global generators neither matter nor move; labels and writers are left as they are."""
    labels, writers = LABELS.copy(), WRITERS.copy()
    first = split(name)
    before = np.random.get_state()[1].copy()
    second = split(name)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(first.order, second.order)
    np.testing.assert_array_equal(first.offsets, second.offsets)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(writers, WRITERS)


@every_partition
def test_another_generator_gives_another_split(name):
    """Except where the writers or a file decide."""
    if name not in ("by_writer", "indices"):
        assert not np.array_equal(split(name, seed=1).order, split(name, seed=2).order)


@every_partition
@pytest.mark.parametrize("n_clients", [0, -1, 601])
def test_impossible_numbers_of_clients_are_refused(name, n_clients):
    if n_clients > 600 and not load(Partition, name).disjoint:
        return
    with pytest.raises(InputError):
        split(name, n_clients=n_clients)


@every_partition
def test_is_frozen_and_refuses_unknown_keys(name):
    partition = load(Partition, name)(**options(name))
    for key in type(partition).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(partition, key, None)
    with pytest.raises(ValidationError, match="alhpa"):
        load(Partition, name)(**options(name), alhpa=1)
