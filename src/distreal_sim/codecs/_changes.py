"""Changes of what the receiver knows, which lossy codecs encode in place of the arrays."""

from __future__ import annotations

import numpy as np

from distreal_sim.codecs import Arrays


def change(name: str, array: np.ndarray, known: Arrays) -> np.ndarray:
    """The array minus what is known of it, float32; the array itself if nothing is."""
    own = array.astype(np.float32, copy=False)
    return np.asarray(own - known[name].astype(np.float32, copy=False)) if name in known else own


def changed(name: str, moved: np.ndarray, known: Arrays) -> np.ndarray:
    """What is known of an array, moved by a change: the opposite of `change`."""
    if name not in known:
        return np.asarray(moved)
    return np.asarray(known[name] + moved).astype(known[name].dtype, copy=False)
