"""Clients who share examples."""

from __future__ import annotations

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions.bootstrap import Bootstrap
from distreal_sim.data.partitions.iid import Iid

LABELS = np.repeat([0, 2, 5], [500, 300, 200])
"""1,000 examples of three classes; 1, 3 and 4 are empty."""


def test_more_clients_than_examples() -> None:
    """5,000 clients of 8: 40,000 draws, each example 40 +- 6.3 times; 6 standard deviations hold for all
    1,000 (chance below 1e-5).
    """
    split = Bootstrap(examples=8).split(LABELS, None, 5000, np.random.default_rng(1))
    assert (split.sizes == 8).all()
    often = np.bincount(split.order, minlength=1000)
    assert len(often) == 1000
    assert np.abs(often - 40).max() < 6 * np.sqrt(40)


@pytest.mark.parametrize("alpha", [0.6, 6.0, 1e6])
def test_class_mixes(alpha: float) -> None:
    """The share of a class among a client's m examples, multinomial on a Dirichlet(alpha p) draw: mean p,
    variance p (1 - p) (1 / m + (1 - 1 / m) / (alpha + 1)). 4,000 clients: the mean to 5 standard errors, the
    variance to 15 %, of which 5 standard errors are 11 % for a normal distribution.
    """
    m, shares = 50, np.array([0.5, 0.3, 0.2])
    split = Bootstrap(examples=m, alpha=alpha).split(LABELS, None, 4000, np.random.default_rng(2))
    held = LABELS[split.order].reshape(4000, m)
    mixes = np.stack([(held == label).mean(axis=1) for label in (0, 2, 5)], axis=1)
    variance = shares * (1 - shares) * (1 / m + (1 - 1 / m) / (alpha + 1))
    assert (np.abs(mixes.mean(axis=0) - shares) < 5 * np.sqrt(variance / 4000)).all()
    np.testing.assert_allclose(mixes.var(axis=0), variance, rtol=0.15)


def test_lognormal_sizes_have_the_mean() -> None:
    split = Bootstrap(examples=20, sizes="lognormal", alpha=0.5).split(
        LABELS, None, 300, np.random.default_rng(3)
    )
    assert split.sizes.sum() == 6000
    assert split.sizes.min() >= 1
    assert split.sizes.std() > 10


def test_the_others_say_that_there_is_this_one() -> None:
    with pytest.raises(InputError, match="n_clients can be at most 1000, or more with partition bootstrap"):
        Iid().split(LABELS, None, 1001, np.random.default_rng(1))
