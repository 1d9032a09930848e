"""Updates of clients that started from an earlier model than the present one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from distreal_sim.client.messages import Arrays, Update


def moved(update: Update, sent: Arrays, present: Arrays) -> Update:
    """The update as if its client had changed the present model as it changed the model that it was sent.

    In float64. A value that the client left as it was is the present one, and an update is the same, bit for
    bit, if the present model is the one that it was sent.
    """
    if present is sent:
        return update
    arrays = {}
    for name, value in update.arrays.items():
        if name not in sent:  # a gradient
            arrays[name] = value
            continue
        old, new = sent[name], present[name]
        arrays[name] = np.where(value == old, new, value + (new.astype(float) - old))
    return replace(update, arrays=arrays)


def towards(old: Arrays, new: Arrays, rate: float) -> Arrays:
    """old + rate x (new - old), in float64; `new` itself for a rate of 1.

    What did not change keeps its bytes.
    """
    if rate == 1:
        return new
    return {
        name: np.where(
            new[name] == value, value, (value + rate * (new[name].astype(float) - value)).astype(value.dtype)
        )
        for name, value in old.items()
    }
