"""The examples that are held out for testing where a file does not say which."""

from __future__ import annotations

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import generator


def test_rows(n_examples: int, share: float, where: str) -> np.ndarray:
    """(N,) bool: a random draw of round(share * N) examples, the same in every run and for every seed.

    Raises InputError unless at least one example is on either side.
    """
    n_test = round(share * n_examples)
    if not 0 < n_test < n_examples:
        raise InputError(
            f"{where} has {n_examples} examples, of which dataset.test_share ({share:g}) holds out {n_test}; "
            "at least one must be left for training and one for testing"
        )
    chosen = np.zeros(n_examples, bool)
    chosen[generator(0, "test share").permutation(n_examples)[:n_test]] = True
    return chosen
