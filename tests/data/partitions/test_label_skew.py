"""dirichlet and shards: how skewed the clients are, against the moments of the distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions.dirichlet import Dirichlet
from distreal_sim.data.partitions.shards import Shards


def rng(seed=0):
    return np.random.default_rng(seed)


def class_counts(split, labels):
    """(n_clients, n_classes)"""
    return np.array([np.bincount(labels[split[c]], minlength=labels.max() + 1) for c in range(len(split))])


def test_infinite_alpha_gives_every_client_the_same_classes():
    """10 classes of 40 over 4 clients: 10 of each class."""
    labels = np.tile(np.arange(10), 40)
    counts = class_counts(Dirichlet(alpha=float("inf")).split(labels, None, 4, rng()), labels)
    assert (counts == 10).all()


def test_large_alpha_comes_near_to_it():
    """A share of Dirichlet(1e6 x 4) is 0.25, deviation 0.0002: of 40 examples 10, cut to integers 9 .. 11."""
    labels = np.tile(np.arange(10), 40)
    counts = class_counts(Dirichlet(alpha=1e6).split(labels, None, 4, rng()), labels)
    np.testing.assert_allclose(counts, 10, atol=1)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 5.0])
def test_by_class_has_the_second_moment_of_dirichlet(alpha):
    """The sum over n clients of squared shares of a class has mean (alpha + 1) / (n alpha + 1).

    1,000 draws (100 classes, 10 generators) of a number in 0 .. 1 with deviation below 0.25: the mean is
    known to 0.008, tolerance 0.03. With examples cut to 1/1000 of a class, rounding is far below that.
    """
    labels = np.repeat(np.arange(100), 1000)
    partition = Dirichlet(alpha=alpha)
    counts = [class_counts(partition.split(labels, None, 4, rng(seed)), labels) for seed in range(10)]
    moment = np.mean([((c / 1000) ** 2).sum(axis=0).mean() for c in counts])
    np.testing.assert_allclose(moment, (alpha + 1) / (4 * alpha + 1), atol=0.03)


def test_by_client_has_alpha_as_the_sum_over_the_classes():
    """Hsu et al.: q ~ Dirichlet(alpha p), K = 10 equal classes, m = 1000 examples drawn from q.

    E sum q^2 = (alpha / K + 1) / (alpha + 1) = 11 / 101 = 0.10891 for alpha = 100, and the draw of m adds
    (1 - 0.10891) / m: 0.10980. Alpha per class (a sum of 1,000) would give 0.1018. Classes that
    run out bend the last few of the 500 clients only.
    """
    labels = np.tile(np.arange(10), 50_000)
    split = Dirichlet(alpha=100, variant="by_client").split(labels, None, 500, rng())
    assert (split.sizes == 1000).all()
    moment = ((class_counts(split, labels) / 1000) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(moment, 0.1098, atol=0.002)


def test_by_client_sizes_are_free_of_alpha():
    labels = np.repeat(np.arange(10), [1, 2, 3, 4, 90, 100, 100, 100, 300, 300])
    partition = Dirichlet(alpha=0.01, variant="by_client")
    assert (partition.split(labels, None, 100, rng()).sizes == 10).all()
    lognormal = Dirichlet(alpha=0.01, variant="by_client", sizes="lognormal").split(labels, None, 100, rng())
    assert lognormal.sizes.std() > 5


def test_by_class_draws_again_until_everyone_has_enough():
    """Some first draws do leave a client below 20 of 400 examples, so that the redraw is needed here."""
    labels = np.tile(np.arange(10), 40)
    below = 0
    for seed in range(20):
        assert Dirichlet(alpha=0.5, min_examples=20).split(labels, None, 8, rng(seed)).sizes.min() >= 20
        below += Dirichlet(alpha=0.5).split(labels, None, 8, rng(seed)).sizes.min() < 20
    assert below > 0


def test_by_class_gives_up_with_advice():
    """2 classes dealt at alpha 0.001 go to two clients at most, practically always."""
    labels = np.tile(np.arange(2), 100)
    with pytest.raises(InputError, match=r"in 100 draws .* never had more than 0 .* variant: by_client"):
        Dirichlet(alpha=0.001).split(labels, None, 10, rng())


def test_min_examples_that_cannot_be():
    labels = np.tile(np.arange(2), 10)
    with pytest.raises(InputError, match=r"each of 3 clients at least 7 of 20 .* n_clients can be at most 2"):
        Dirichlet(alpha=1, min_examples=7).split(labels, None, 3, rng())


@pytest.mark.parametrize("alpha", [0, -1, float("nan")])
def test_bad_alpha(alpha):
    with pytest.raises(ValidationError):
        Dirichlet(alpha=alpha)


def test_shards_of_one_class():
    """10 classes of 40, 20 clients with 2 shards: shards of 10 lie within a class, so 2 classes at most."""
    labels = np.random.default_rng(5).permutation(np.tile(np.arange(10), 40))
    split = Shards(classes_per_client=2).split(labels, None, 20, rng())
    counts = class_counts(split, labels)
    assert (split.sizes == 20).all()
    assert ((counts > 0).sum(axis=1) <= 2).all()
    assert set(np.unique(counts)) == {0, 10, 20}


def test_more_shards_than_examples():
    with pytest.raises(
        InputError, match=r"4 x 3 = 12 non-empty shards, there are 11 .* n_clients can be at most 3"
    ):
        Shards(classes_per_client=3).split(np.zeros(11, np.int64), None, 4, rng())


@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=80),
    n_clients=st.integers(1, 20),
    partition=st.one_of(
        st.builds(Shards, classes_per_client=st.integers(1, 5)),
        st.builds(Dirichlet, alpha=st.floats(1e-3, 1e3) | st.just(float("inf"))),
        st.builds(
            Dirichlet,
            alpha=st.floats(1e-3, 1e3) | st.just(float("inf")),
            variant=st.just("by_client"),
            sizes=st.sampled_from(["equal", "lognormal"]),
        ),
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_labels_are_covered_or_refused(labels, n_clients, partition, seed):
    labels = np.array(labels)
    try:
        split = partition.split(labels, None, n_clients, rng(seed))
    except InputError:
        by_client = isinstance(partition, Dirichlet) and partition.variant == "by_client"
        assert n_clients > len(labels) or not by_client
        return
    assert sorted(split.order.tolist()) == list(range(len(labels)))
    assert split.sizes.min() >= 1
    if isinstance(partition, Shards):
        assert np.ptp(split.sizes) <= partition.classes_per_client
