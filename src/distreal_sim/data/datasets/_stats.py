"""Mean and standard deviation per channel, without a float copy of the data set."""

from __future__ import annotations

import numpy as np

_CHUNK = 4096


def mean_std(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x: (N, C, ...) uint8 or float32 -> mean, std: (C,) float32 over all examples and pixels, in x's unit.

    Sums are exact for uint8 and float64 else. A constant channel gets std 1, so that dividing by it is legal.
    """
    total = np.zeros(x.shape[1])
    squares = np.zeros(x.shape[1])
    axes = (0, *range(2, x.ndim))
    # In chunks: the float64 copy of a whole data set would be eight times its size.
    for start in range(0, len(x), _CHUNK):
        part = x[start : start + _CHUNK].astype(np.float64)
        total += part.sum(axis=axes)
        squares += np.square(part, out=part).sum(axis=axes)
    count = x.size // x.shape[1]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    std[std < 1e-6 * np.maximum(np.abs(mean), 1e-6)] = 1.0
    return mean.astype(np.float32), std.astype(np.float32)
