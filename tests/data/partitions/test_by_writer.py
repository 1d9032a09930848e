"""by_writer: whole writers, subsets, and the writers of the real MNIST."""

from __future__ import annotations

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets.mnist import Mnist
from distreal_sim.data.partitions.by_writer import ByWriter

WRITERS = np.array([30, 7, 30, 12, 7, 30, 99])
LABELS = np.zeros(7, np.int64)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_all_writers_in_the_order_of_their_numbers():
    split = ByWriter().split(LABELS, WRITERS, None, rng())
    assert [split[c].tolist() for c in range(4)] == [[1, 4], [3], [0, 2, 5], [6]]


def test_writers_with_too_few_examples_are_left_out():
    split = ByWriter(min_examples=2).split(LABELS, WRITERS, None, rng())
    assert [split[c].tolist() for c in range(len(split))] == [[1, 4], [0, 2, 5]]


def test_a_subset_is_random_and_keeps_writers_whole():
    """2 of 4 writers: 6 subsets, of which 60 generators show all (each missed with probability 2e-5)."""
    whole = {(1, 4), (3,), (0, 2, 5), (6,)}
    seen = set()
    for seed in range(60):
        split = ByWriter().split(LABELS, WRITERS, 2, rng(seed))
        clients = [tuple(split[c].tolist()) for c in range(2)]
        assert set(clients) <= whole
        assert WRITERS[clients[0][0]] < WRITERS[clients[1][0]]
        seen.add(tuple(clients))
    assert len(seen) == 6


@pytest.mark.parametrize(("n_clients", "min_examples"), [(5, 1), (3, 2), (None, 4), (0, 1)])
def test_more_clients_than_writers(n_clients, min_examples):
    with pytest.raises(InputError, match=r"of 4 writers have at least .* n_clients is"):
        ByWriter(min_examples=min_examples).split(LABELS, WRITERS, n_clients, rng())


def test_data_without_writers():
    with pytest.raises(InputError, match="needs a data set that names the writers"):
        ByWriter().split(LABELS, None, None, rng())


def test_real_mnist_has_539_clients(real_data):
    """19 / 116 / 131 digits at the least, in the middle, at most; QMNIST's own table, counted elsewhere."""
    data = Mnist(data_dir=real_data).load()
    split = ByWriter().split(data.train.y, data.writers, None, rng())
    assert (len(split), split.sizes.min(), np.median(split.sizes), split.sizes.max()) == (539, 19, 116, 131)
    assert all(len(np.unique(data.writers[split[c]])) == 1 for c in range(539))
