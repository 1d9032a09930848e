"""Averages of updates normalised by the number of steps that trained a coordinate (FedNova)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from distreal_sim.client.messages import Arrays, Update
from distreal_sim.merging.average import Weight, client_weight, spread, step_weights, trained_steps
from distreal_sim.thinning.structure import Structure


def step_normalised_average(
    structure: Structure,
    old: Arrays,
    updates: Iterator[Update],
    weight: Weight = "examples",
    *,
    momentum: float = 0.0,
) -> dict[str, np.ndarray]:
    """FedNova's average, coordinate by coordinate, over the clients that trained it, in float64.

    For a coordinate that client c trained in tau_c > 0 of its steps, changing it from w to w_c, a_c is
    `accumulated(tau_c, momentum)`, the weight of its gradients in that change, and p_c its share of these
    clients' weights. The coordinate becomes

        w + sum(p_c a_c) * sum(p_c (w_c - w) / a_c)

    so that a client that trained it in more steps does not pull it further; with equal a_c it is the weighted
    mean of the w_c. The momentum of a dropped coordinate does not change, so a_c depends on tau_c alone. A
    coordinate that no client trained keeps its bytes. weight: as in `weighted_average`.

    FedNova: Wang, Liu, Liang, Joshi, Poor, NeurIPS 2020, arXiv 2007.07481; by coordinate: our choice.
    """
    changes = {name: np.zeros(value.shape) for name, value in old.items()}
    # One value for the whole parameter, or one per channel.
    weights = {name: np.zeros((1,) * value.ndim) for name, value in old.items()}
    norms = {name: np.zeros((1,) * value.ndim) for name, value in old.items()}
    for update in updates:
        steps, by_step = trained_steps(structure, update), step_weights(update, weight)
        whole = client_weight(update, weight)
        limited = {} if by_step is None else trained_steps(structure, update, by_step)
        for name, value in update.arrays.items():
            tau = steps.get(name, np.full((1,) * value.ndim, float(update.n_steps)))
            norm = accumulated(tau, momentum)
            own = limited[name] if name in limited else whole * (tau > 0)
            weights[name] = weights[name] + own
            norms[name] = norms[name] + own * norm
            change = value - old[name].astype(float)
            shape, factor = spread(structure.tensors[name], own / np.maximum(norm, 1.0))
            changes[name].reshape(shape)[...] += factor * change.reshape(shape)
    return {
        name: _moved(structure, name, value, changes.pop(name), weights[name], norms[name])
        for name, value in old.items()
    }


def accumulated(n_steps: np.ndarray, momentum: float) -> np.ndarray:
    """Sum over k = 1 ... n_steps of (1 - momentum^k) / (1 - momentum): n_steps without momentum."""
    tail = momentum * (1 - momentum**n_steps) / (1 - momentum)
    total: np.ndarray = (n_steps - tail) / (1 - momentum)
    return total


def _moved(
    structure: Structure, name: str, old: np.ndarray, change: np.ndarray, weight: np.ndarray, norm: np.ndarray
) -> np.ndarray:
    """The parameter after its mean change; coordinates without change keep their bytes (also -0.0)."""
    # sum(p a) * sum(p d), where p is a client's weight over that of all.
    scale = np.divide(norm, weight**2, out=np.zeros(weight.shape), where=weight > 0)
    shape, factor = spread(structure.tensors[name], scale)
    change = (change.reshape(shape) * factor).reshape(old.shape)
    return np.where(change == 0, old, (old + change).astype(old.dtype))
