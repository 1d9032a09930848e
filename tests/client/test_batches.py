"""Mini-batches of a client's round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import toy

import distreal_sim.client.task
from distreal_sim.client.batches import batch_indices, batch_sizes
from distreal_sim.client.settings import Local
from distreal_sim.config.build import build


@pytest.mark.parametrize(
    ("n", "batch_size", "epoch"),
    [
        (8, 4, [4, 4]),
        (7, 4, [4, 3]),
        (6, 4, [4, 2]),
        (9, 4, [4, 5]),  # the example left over joins the batch before it
        (5, 4, [5]),
        (4, 4, [4]),
        (3, 4, [3]),
        (1, 4, [1]),
        (3, 1, [1, 1, 1]),
        (3, 2, [3]),
    ],
)
def test_sizes(n: int, batch_size: int, epoch: list[int]) -> None:
    assert batch_sizes(n, Local(epochs=1, batch_size=batch_size)) == epoch
    assert batch_sizes(n, Local(epochs=3, batch_size=batch_size)) == epoch * 3
    assert batch_sizes(n, Local(steps=5, batch_size=batch_size)) == (epoch * 5)[:5]


@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 4), st.integers(0, 99))
def test_every_epoch_sees_every_example_once(n: int, batch_size: int, epochs: int, seed: int) -> None:
    """Each epoch's batches are a permutation of all examples; the batches have the planned sizes."""
    sizes = batch_sizes(n, Local(epochs=epochs, batch_size=batch_size))
    batches = batch_indices(sizes, n, np.random.default_rng(seed))
    assert [len(b) for b in batches] == sizes
    order = np.concatenate(batches).reshape(epochs, n)
    assert (np.sort(order, axis=1) == np.arange(n)).all()
    assert min(sizes) > 1 or batch_size == 1 or n == 1


def test_epochs_are_shuffled_afresh() -> None:
    """Two of 50! orders being equal does not happen."""
    batches = batch_indices([50, 50, 50], 50, np.random.default_rng(1))
    assert len({tuple(b) for b in [*batches, np.arange(50)]}) == 4


def test_steps_go_on_into_the_next_epoch() -> None:
    """5 steps of batches [4, 4, 2]: the first epoch in three of them, two batches of the second."""
    sizes = batch_sizes(10, Local(steps=5, batch_size=4))
    assert sizes == [4, 4, 2, 4, 4]
    batches = batch_indices(sizes, 10, np.random.default_rng(1))
    assert sorted(np.concatenate(batches[:3])) == list(range(10))
    assert len(set(np.concatenate(batches[3:]))) == 8


def test_a_place_in_the_epoch_is_as_likely_for_all() -> None:
    """How often each of 6 examples is in the first batch of 2, over 9,000 shuffles: 3,000 each, standard
    deviation sqrt(9000 * 1/3 * 2/3) = 45; 6 of them.
    """
    rng = np.random.default_rng(2)
    firsts = [batch_indices([2, 2, 2], 6, rng)[0] for _ in range(9000)]
    counts = np.bincount(np.concatenate(firsts), minlength=6)
    assert np.abs(counts - 3000).max() < 6 * 45


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
@pytest.mark.parametrize("at_once", [1, 5 * 64, 1 << 18])
def test_examples_read_together_are_those_read_alone(
    memory_format: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None, two or all of the batches at once; a digit has 64 numbers."""
    task = build(toy(local={"epochs": 1, "memory_format": memory_format}))
    monkeypatch.setattr(distreal_sim.client.task, "READ_AT_ONCE", at_once)
    batches = [np.array([5, 3]), np.array([8, 1, 4]), np.array([2]), np.array([9, 0, 6, 7])]
    read = list(task.batches(task.data.train, batches))
    assert len(read) == len(batches)
    for (x, y), batch in zip(read, batches, strict=True):
        alone, labels = task.batch(task.data.train, batch)
        assert x.numpy().tobytes() == alone.numpy().tobytes()
        assert x.stride() == alone.stride()
        assert y.tolist() == labels.tolist()
