"""The draws of many keyed generators at once, bit for bit those of `rng.generator`.

To make one of numpy's generators takes some 10 microseconds, and a simulated clock needs one or more for
every client and round. Here the hash that numpy's SeedSequence makes of (seed, purpose, key), and PCG64's
seeding and steps, are arithmetic on arrays of keys. Both algorithms are fixed by numpy's compatibility policy
(NEP 19); tests compare every one with numpy itself.

SeedSequence: https://github.com/numpy/numpy/blob/main/numpy/random/bit_generator.pyx, after M. E. O'Neill's
seed_seq_fe. PCG64: M. E. O'Neill. PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
for Random Number Generation. 2014; variant XSL RR 128/64.
"""

from __future__ import annotations

import math
import zlib
from functools import lru_cache

import numpy as np

from distreal_sim.base.rng import POOL, WORD, seed_words

INIT_A, MULT_A = 0x43B0D7E5, 0x931E8875
INIT_B, MULT_B = 0x8B51F9DD, 0x58F38DED
MIX_L, MIX_R = 0xCA01F9DD, 0x4973F715

MULTIPLIER_HIGH = np.uint64(2549297995355413924)
MULTIPLIER_LOW = np.uint64(4865540595714422341)
LOW_1, LOW_0 = MULTIPLIER_LOW >> np.uint64(32), MULTIPLIER_LOW & np.uint64(WORD)

COLUMNS = 8
"""Numbers that `poisson_then` draws at a time."""


class Streams:
    """n generators of their own: `random` gives the next number of each, as Generator.random() would."""

    def __init__(self, state: tuple[np.ndarray, np.ndarray], inc: tuple[np.ndarray, np.ndarray]) -> None:
        """state, inc: (high, low) words of n 128-bit numbers, (n,) uint64 each."""
        self.high, self.low = state
        self.inc_high, self.inc_low = inc

    def __len__(self) -> int:
        return len(self.low)

    def random(self) -> np.ndarray:
        """(n,) the next number in [0, 1) of each generator."""
        self._step()
        folded, turn = self.high ^ self.low, self.high >> np.uint64(58)
        turned = (folded >> turn) | (folded << (-turn & np.uint64(63)))
        drawn: np.ndarray = (turned >> np.uint64(11)) * (1.0 / 9007199254740992.0)
        return drawn

    def pick(self, rows: np.ndarray) -> Streams:
        """Copies of some of the generators, as they stand."""
        return Streams((self.high[rows], self.low[rows]), (self.inc_high[rows], self.inc_low[rows]))

    def _step(self) -> None:
        """state <- state * multiplier + inc, modulo 2 ** 128."""
        half = np.uint64(32)
        low_1, low_0 = self.low >> half, self.low & np.uint64(WORD)
        cross = low_1 * LOW_0 + (low_0 * LOW_0 >> half)  # below 2 ** 64, as is the next sum
        other = low_0 * LOW_1 + (cross & np.uint64(WORD))
        carried = low_1 * LOW_1 + (cross >> half) + (other >> half)
        high = carried + self.high * MULTIPLIER_LOW + self.low * MULTIPLIER_HIGH
        self.low = self.low * MULTIPLIER_LOW + self.inc_low
        self.high = high + self.inc_high + (self.low < self.inc_low)


def streams(seed: int, purpose: str, *key: np.ndarray | int) -> Streams:
    """The generators `rng.generator(seed, purpose, *k)` for every k of the broadcast keys.

    key: integers in [0, 2 ** 32), (n,) each or one for all. Raises ValueError for others.
    """
    pool, constant = _prefix(seed, purpose)
    mixed: list[np.ndarray] = [np.array([word], np.uint32) for word in pool]
    for part in key:
        words = _words(part)
        for place in range(POOL):
            hashed, constant = _hash(words, constant, MULT_A)
            mixed[place] = _mix(mixed[place], hashed)
    constant, hashes = INIT_B, []
    for place in range(2 * POOL):
        hashed, constant = _hash(mixed[place % POOL], constant, MULT_B)
        hashes.append(hashed.astype(np.uint64))
    doubles = [low | high << np.uint64(32) for low, high in zip(hashes[::2], hashes[1::2], strict=True)]
    return _seeded(*doubles)


def _seeded(high: np.ndarray, low: np.ndarray, inc_high: np.ndarray, inc_low: np.ndarray) -> Streams:
    """PCG64 started at (high, low), on the sequence (inc_high, inc_low)."""
    one = np.uint64(1)
    inc = inc_high << one | inc_low >> np.uint64(63), inc_low << one | one
    started = inc[1] + low
    fresh = Streams((inc[0] + high + (started < low), started), inc)
    fresh._step()
    return fresh


def poisson_then(
    mean: float, per_event: int, source: Streams | np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What generators give for poisson(mean), and then for per_event numbers for each of these events.

    Gives numbers in [0, 1) (per_event, N), of all generators one after the other, and n_events, (n,) for
    Streams and () for a Generator; N is their sum. mean: below 10, where numpy multiplies numbers until the
    product is at most exp(-mean): one more than there are events.
    """
    if isinstance(source, np.random.Generator):
        count = np.asarray(source.poisson(mean))
        return source.random((per_event, int(count))), count
    n = len(source)
    enough = math.exp(-mean)
    blocks: list[tuple[np.ndarray, np.ndarray]] = []
    product, n_events, live = np.ones(n), np.zeros(n, np.int64), np.arange(n)
    while len(live):
        drawn = np.stack([source.random() for _ in range(COLUMNS)])
        blocks.append((live, drawn))
        found = n_events[live]
        for column in drawn:
            product = product * column
            found += product > enough
        n_events[live] = found
        needed = (product > enough) | (found * (1 + per_event) + 1 > COLUMNS * len(blocks))
        source, live, product = source.pick(needed), live[needed], product[needed]
    raw = np.zeros((COLUMNS * len(blocks), n))
    for index, (rows, drawn) in enumerate(blocks):
        raw[index * COLUMNS : (index + 1) * COLUMNS, rows] = drawn
    row = np.repeat(np.arange(n), n_events)
    own = n_events[row]
    place = np.arange(1, len(row) + 1) + own - np.repeat(n_events.cumsum() - n_events, n_events)
    return np.stack([raw[place + turn * own, row] for turn in range(per_event)]), n_events


@lru_cache(maxsize=256)
def _prefix(seed: int, purpose: str) -> tuple[tuple[int, ...], int]:
    """SeedSequence's pool after seed and purpose, and the next constant of its hash."""
    words = seed_words(seed)
    constant, pool = INIT_A, []
    for word in words[:POOL]:
        hashed, constant = _hash(np.array([word], np.uint32), constant, MULT_A)
        pool.append(hashed)
    others = [(source, place) for source in range(POOL) for place in range(POOL) if source != place]
    for source, place in others:
        hashed, constant = _hash(pool[source], constant, MULT_A)
        pool[place] = _mix(pool[place], hashed)
    for word in [*words[POOL:], zlib.crc32(purpose.encode())]:
        for place in range(POOL):
            hashed, constant = _hash(np.array([word], np.uint32), constant, MULT_A)
            pool[place] = _mix(pool[place], hashed)
    return tuple(int(word[0]) for word in pool), constant


def _words(key: np.ndarray | int) -> np.ndarray:
    values = np.atleast_1d(np.asarray(key))
    if values.size and not 0 <= values.min() <= values.max() <= WORD:
        raise ValueError(f"keys must be at least 0 and below 2 ** 32, not {values.min()} to {values.max()}")
    return values.astype(np.uint32)


def _hash(words: np.ndarray, constant: int, multiplier: int) -> tuple[np.ndarray, int]:
    following = constant * multiplier & WORD
    hashed = (words ^ np.uint32(constant)) * np.uint32(following)
    return hashed ^ hashed >> np.uint32(16), following


def _mix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = np.subtract(a * np.uint32(MIX_L), b * np.uint32(MIX_R))
    folded: np.ndarray = mixed ^ (mixed >> np.uint32(16))
    return folded
