"""Keyed generators."""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from distreal_sim.base.rng import Rngs, generator


def draw(rng: np.random.Generator) -> list[int]:
    return rng.integers(0, 2**62, 4).tolist()


def test_a_stream_is_a_function_of_its_key() -> None:
    """Whatever was drawn before, from whichever stream, and by whichever object."""
    keys = [("batches", 1), ("masks", 1), ("batches", 2), ("batches", 1, 0), ("batches",)]
    forwards = {key: draw(generator(5, *key)) for key in keys}
    rngs = Rngs(5)
    draw(rngs("batches", 1))
    assert {key: draw(rngs(*key)) for key in reversed(keys)} == forwards
    assert draw(Rngs(5, (3, 4))("level", 17)) == draw(generator(5, "level", 3, 4, 17))


def test_streams_differ() -> None:
    """Seed, purpose, each entry and the length of the key all matter. SeedSequence pads with zeros, so that
    as entropy [1] and [1, 0] are the same; as keys they are not.
    """
    assert np.array_equal(
        np.random.SeedSequence([1]).generate_state(4), np.random.SeedSequence([1, 0]).generate_state(4)
    )
    keys = [(), (0,), (0, 0), (1,), (1, 0), (0, 1), (1, 0, 0)]
    owners = [(seed, purpose) for seed in (0, 1) for purpose in ("a", "b")]
    streams = [draw(generator(*owner, *key)) for owner in owners for key in keys]
    assert len({tuple(s) for s in streams}) == len(streams)


def test_streams_of_neighbours_are_uncorrelated() -> None:
    """200 clients, 500 draws each: correlations of neighbouring streams have standard deviation 1/sqrt(500);
    5.5 of them bound the largest of 199 (probability of failing by chance below 1e-5).
    """
    draws = np.array([generator(1, "level", client).standard_normal(500) for client in range(200)])
    neighbours = [np.corrcoef(a, b)[0, 1] for a, b in pairwise(draws)]
    assert np.abs(neighbours).max() < 5.5 / np.sqrt(500)


@pytest.mark.parametrize("seed", [0, 5, 2**32 - 1, 2**32, 2**64 + 3, 2**128, 2**200 + 7])
@pytest.mark.parametrize("key", [(), (0,), (7, 2**32 - 1), (3, 2**32, 1), (2**70,)])
def test_it_is_the_generator_of_a_spawned_sequence(seed: int, key: tuple[int, ...]) -> None:
    """What numpy documents: SeedSequence with the purpose and the key as its spawn key."""
    sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(b"batches"), *key))
    assert draw(generator(seed, "batches", *key)) == draw(np.random.default_rng(sequence))


@pytest.mark.parametrize("kind", [int, np.int64])
def test_keys_are_not_negative(kind: type) -> None:
    with pytest.raises(ValueError, match="negative"):
        generator(1, "a", kind(-1))
    with pytest.raises(ValueError, match="negative"):
        generator(kind(-1), "a")


def test_numpys_integers_are_integers() -> None:
    assert draw(generator(np.int64(5), "a", np.int64(2**33), np.int32(7))) == draw(
        generator(5, "a", 2**33, 7)
    )
    with pytest.raises(TypeError, match="float"):
        generator(5, "a", 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("draw", [random.random, lambda: float(np.random.rand())], ids=["python", "numpy"])
def test_pythons_and_numpys_generators_are_lent(draw: Callable[[], float]) -> None:
    """As torch's: inside, a function of (seed, purpose, key); outside, as if nothing had happened."""
    random.seed(11), np.random.seed(11)
    expected = [draw() for _ in range(6)]
    random.seed(11), np.random.seed(11)
    outside = [draw() for _ in range(3)]
    with contextlib.suppress(RuntimeError), Rngs(5, (1, 2)).seeded_globals("torch"):
        first = draw()
        raise RuntimeError
    assert outside + [draw() for _ in range(3)] == expected
    others = [(Rngs(5, (1, 2)), "torch"), (Rngs(5, (1, 3)), "torch"), (Rngs(6, (1, 2)), "torch")]
    draws = []
    for rngs, purpose in [*others, (Rngs(5, (1, 2)), "initialisation")]:
        with rngs.seeded_globals(purpose):
            draws.append(draw())
    assert draws[0] == first
    assert len({*draws, *expected}) == 10


def test_torchs_default_generator_is_lent() -> None:
    """Inside, torch draws what (seed, purpose, key) says; outside, it goes on as if nothing had happened,
    after an exception too.
    """
    torch.manual_seed(11)
    expected = torch.rand(6)
    torch.manual_seed(11)
    first = torch.rand(3)
    with Rngs(5, (1, 2)).seeded_globals("torch"):
        inside = torch.rand(3)
    with contextlib.suppress(RuntimeError), Rngs(5, (1, 2)).seeded_globals("torch"):
        torch.rand(100)
        raise RuntimeError
    assert torch.equal(torch.cat([first, torch.rand(3)]), expected)
    draws = {}
    for rngs in (Rngs(5, (1, 2)), Rngs(5, (1, 3)), Rngs(6, (1, 2))):
        for purpose in ("torch", "initialisation"):
            with rngs.seeded_globals(purpose):
                draws[rngs, purpose] = tuple(torch.rand(3).tolist())
    assert draws[Rngs(5, (1, 2)), "torch"] == tuple(inside.tolist())
    assert len(set(draws.values())) == 6
