"""Mini-batches of a client's round: their sizes and their examples."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from distreal_sim.client.settings import Local


def batch_sizes(n_examples: int, local: Local) -> list[int]:
    """Sizes of the planned mini-batches, in order.

    The last batch may be smaller; a single left-over example joins the batch before it, because batch
    normalisation cannot train on one example.
    """
    cuts = list(range(0, n_examples, local.batch_size))
    if n_examples - cuts[-1] == 1 and len(cuts) > 1 and local.batch_size > 1:
        cuts.pop()
    epoch = [b - a for a, b in pairwise([*cuts, n_examples])]
    if local.epochs is not None:
        return epoch * local.epochs
    assert local.steps is not None
    return [epoch[i % len(epoch)] for i in range(local.steps)]


def batch_indices(sizes: list[int], n_examples: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Positions (0 ... n_examples - 1) of each mini-batch's examples: a fresh shuffle for every epoch."""
    order = np.empty(0, np.int64)
    batches = []
    for size in sizes:
        if len(order) < size:
            order = rng.permutation(n_examples)
        batches.append(order[:size])
        order = order[size:]
    return batches
