"""The one module that makes random generators, each keyed by its purpose.

A generator is a function of (seed, purpose, key...), so a draw never depends on earlier draws,
by whom, or in which process.
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index

import numpy as np
import torch

WORD = 0xFFFFFFFF
POOL = 4
"""Words of SeedSequence's pool."""


def generator(seed: int, purpose: str, *key: int) -> np.random.Generator:
    """The numpy generator of (seed, purpose, key...); key: integers of at least 0, e.g. (round, client_id).

    From 2**32 on an integer counts as several smaller ones, the lowest 32 bits first.
    """
    return np.random.Generator(np.random.PCG64(_sequence(seed, purpose, *key)))


def _sequence(seed: int, purpose: str, *key: int) -> np.random.SeedSequence:
    """SeedSequence(seed, spawn_key=(crc32 of the purpose, *key)); no entry can be mistaken for padding.

    Its words are put together here, which takes less than half the time.
    """
    seed, spawn_key = index(seed), (zlib.crc32(purpose.encode()), *map(index, key))
    if seed >= 0 and min(spawn_key) >= 0 and max(spawn_key) <= WORD:
        return np.random.SeedSequence(np.array([*seed_words(seed), *spawn_key], np.uint32))
    return np.random.SeedSequence(seed, spawn_key=spawn_key)


def seed_words(seed: int) -> list[int]:
    """The seed's words of 32 bits, the lowest first, filled up with zeros to those of a pool."""
    return [seed >> shift & WORD for shift in range(0, max(seed.bit_length(), 32 * POOL), 32)]


_SPARE: list[np.random.MT19937] = []
"""Generators that are lent to numpy and seeded then; it takes long to make one."""


@dataclass(frozen=True)
class Rngs:
    """The generators of one owner, for example one client in one round: `rngs("batches")`.

    A further key makes further independent streams: `rngs("level", 17)`.
    """

    seed: int
    key: tuple[int, ...] = ()

    def __call__(self, purpose: str, *key: int) -> np.random.Generator:
        return generator(self.seed, purpose, *self.key, *key)

    @contextlib.contextmanager
    def seeded_globals(self, purpose: str) -> Iterator[None]:
        """Within the block the global generators are seeded for `purpose`; afterwards they are as before.

        For code that takes no generator: parameter initialisation, nn.Dropout, and whatever users' networks
        draw; torch's default generator, `random` and `numpy.random`. Not by torch.manual_seed, which formats
        three stack traces for kinds of devices that are not there. To numpy another generator is lent, which
        takes less than to copy the state of its own; of that one, a normal number that it held ready is lost.
        """
        words = _sequence(self.seed, purpose, *self.key).generate_state(3, np.uint64)
        seed = int(words[0] >> np.uint64(1))
        before = torch.default_generator.get_state()
        of_python, of_numpy = random.getstate(), np.random.mtrand.get_bit_generator()
        on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        torch.default_generator.manual_seed(seed)
        if on_gpus:
            torch.cuda.manual_seed_all(seed)
        random.seed(int(words[1]))
        lent = _SPARE.pop() if _SPARE else np.random.MT19937()
        np.random.mtrand.set_bit_generator(lent)
        np.random.seed(words[2:].view(np.uint32))
        try:
            yield
        finally:
            torch.default_generator.set_state(before)
            if on_gpus:
                torch.cuda.set_rng_state_all(on_gpus)
            random.setstate(of_python)
            np.random.mtrand.set_bit_generator(of_numpy)
            _SPARE.append(lent)
