"""Updates of clients that started from an earlier model than the present one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from distreal_sim.client.messages import Arrays, Update
from distreal_sim.client.settings import Weight
from distreal_sim.merging.average import weighted_average
from distreal_sim.thinning.structure import Structure


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


def towards(old: Arrays, new: Arrays, rate: float, shares: Arrays | None = None) -> Arrays:
    """old + rate x share x (new - old), in float64; `new` itself for a rate of 1 without shares.

    shares: of each coordinate; None: 1. What did not change keeps its bytes.
    """
    if rate == 1 and shares is None:
        return new
    found = {}
    for name, value in old.items():
        change = new[name].astype(float) - value
        if shares is not None:
            change *= shares[name]
        found[name] = np.where(new[name] == value, value, (value + rate * change).astype(value.dtype))
    return found


def trained_shares(structure: Structure, old: Arrays, updates: Sequence[Update], weight: Weight) -> Arrays:
    """For each coordinate the share of all weights that the clients have that trained it.

    Rows of the classifier that a method leaves out of its merge count as trained.
    """
    none = {name: np.zeros(value.shape) for name, value in old.items()}
    ones = {name: np.ones(value.shape) for name, value in old.items()}
    trained = (replace(u, arrays={name: ones[name] for name in u.arrays if name in ones}) for u in updates)
    return weighted_average(structure, none, trained, weight, dilute=True)


def deviations(updates: Sequence[Update], are_fresh: Sequence[bool], present: Arrays) -> list[float]:
    """(m,) squared distance of each stale update's change from the mean change of the fresh ones, as a share
    of the largest one; 0 for a fresh one.

    What a client did not train did not change. Without a fresh update their mean is no change at all. The
    share is that of REFL's deviations |mean with it - mean|^2 / |mean|^2, which differ by one factor.
    """
    n_fresh = max(1, sum(are_fresh))
    distances = np.zeros(len(updates))
    for name, value in present.items():
        changes = [u.arrays[name].astype(float) - value if name in u.arrays else 0.0 for u in updates]
        mean = sum(change for change, fresh in zip(changes, are_fresh, strict=True) if fresh) / n_fresh
        for index, fresh in enumerate(are_fresh):
            if not fresh:
                distances[index] += np.sum(np.square(changes[index] - mean * np.ones(value.shape)))
    found: list[float] = (distances / (distances.max(initial=0.0) or 1.0)).tolist()
    return found
