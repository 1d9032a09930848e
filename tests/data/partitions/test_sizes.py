"""iid, and the arithmetic of sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions._deal import apportion, by_owner, draw_sizes
from distreal_sim.data.partitions.iid import Iid


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("n", "clients", "expected"), [(7, 3, [3, 2, 2]), (6, 3, [2, 2, 2]), (3, 3, [1, 1, 1])]
)
def test_equal_sizes(n, clients, expected):
    assert draw_sizes(n, clients, "equal", 1.0, rng()).tolist() == expected


def test_apportion_by_largest_remainder():
    """10 in proportion 1 : 2 : 4 is 1.43, 2.86, 5.71: floors 1, 2, 5; the two left go to .86 and .71."""
    assert apportion(10, np.array([1.0, 2.0, 4.0])).tolist() == [1, 3, 6]


@given(
    total=st.integers(0, 10**6),
    weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=50).filter(lambda w: sum(w) > 1e-3),
)
def test_apportion_adds_up_and_is_within_one_of_exact(total, weights):
    weights = np.array(weights)
    counts = apportion(total, weights)
    assert counts.sum() == total
    assert (np.abs(counts - total * weights / weights.sum()) < 1 + 1e-6).all()


def test_log_normal_sizes_have_that_spread():
    """One example each, the rest as exp(0.5 z): log size has standard deviation 0.5, less what the one adds.

    With 1,000 examples a client the one is 0.1 %; 2,000 draws leave 1.6 %, six times which is 10 %.
    """
    sizes = draw_sizes(2_000_000, 2000, "lognormal", 0.5, rng())
    assert sizes.sum() == 2_000_000
    np.testing.assert_allclose(np.log(sizes).std(), 0.5, rtol=0.1)


@given(
    n_clients=st.integers(1, 60),
    more=st.integers(0, 60),
    sigma=st.floats(0, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_log_normal_sizes_cover_and_leave_nobody_empty(n_clients, more, sigma, seed):
    sizes = draw_sizes(n_clients + more, n_clients, "lognormal", sigma, rng(seed))
    assert sizes.sum() == n_clients + more
    assert sizes.min() >= 1


def test_owners_become_runs_in_ascending_order():
    split = by_owner(np.array([2, 0, 2, 1, 0]), 4)
    assert split.order.tolist() == [1, 4, 3, 0, 2]
    assert split.offsets.tolist() == [0, 2, 3, 5, 5]


def test_iid_class_shares_are_those_of_the_whole():
    """A client of 5,000 out of 20,000, half of class 1, without replacement.

    The standard deviation of its share is sqrt(0.25 / 5000 * 0.75) = 0.006; tolerance five times that.
    """
    labels = np.arange(20_000) // 10_000
    split = Iid().split(labels, None, 4, rng())
    assert split.sizes.tolist() == [5000] * 4
    np.testing.assert_allclose([labels[split[c]].mean() for c in range(4)], 0.5, atol=0.03)


def test_n_clients_is_needed():
    with pytest.raises(InputError, match="partition iid needs n_clients"):
        Iid().split(np.zeros(5, np.int64), None, None, rng())


def test_more_clients_than_examples():
    with pytest.raises(InputError, match=r"each of 6 clients at least 1 of 5 .* n_clients can be at most 5"):
        Iid().split(np.zeros(5, np.int64), None, 6, rng())


@pytest.mark.parametrize(
    "bad", [{"sizes": "normal"}, {"sigma": -1}, {"sizes": "lognormal", "sigma": float("inf")}]
)
def test_bad_options(bad):
    with pytest.raises(ValidationError):
        Iid(**bad)
