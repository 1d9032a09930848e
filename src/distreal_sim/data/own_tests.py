"""Test examples of each client: a share of what the partition gave it, on which it does not train."""

from __future__ import annotations

import numpy as np

from distreal_sim.data.partitions import Split


def hold_out_of_each(split: Split, share: float, rng: np.random.Generator) -> tuple[Split, Split]:
    """(what each client trains on, what it is tested on), both in the order of the split.

    Of n examples a client is tested on round(share * n), at least 1 where it has 2, drawn at random.
    """
    sizes = split.sizes
    n_held = np.where(sizes > 1, np.clip(np.rint(share * sizes).astype(np.int64), 1, sizes - 1), 0)
    owner = np.repeat(np.arange(len(split)), sizes)
    shuffled = np.lexsort((rng.random(len(split.order)), owner))  # at random within each client
    place = np.arange(len(shuffled)) - split.offsets[owner]
    held = np.zeros(len(shuffled), bool)
    held[shuffled[place < n_held[owner]]] = True
    return _of(split.order[~held], sizes - n_held), _of(split.order[held], n_held)


def _of(order: np.ndarray, sizes: np.ndarray) -> Split:
    return Split(order, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
