"""Averaging of updates that trained different parts of a network.

A coordinate is averaged over the clients that trained it at least once; a coordinate that no client trained
keeps its bytes. The channels that a client's steps kept determine what it trained: a weight between channels
i and o was trained in the steps that kept both, so the counts of all weights of a layer are one product of
two (steps x channels) matrices, and no mask of the size of the model is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from distreal_sim.client.messages import Arrays, Update
from distreal_sim.client.settings import Weight
from distreal_sim.merging.arithmetic import add_scaled, divide
from distreal_sim.thinning.structure import Axis, Structure, TensorLayout, is_cut

__all__ = [
    "Outputs",
    "Weight",
    "client_weight",
    "spread",
    "step_weights",
    "trained_steps",
    "weighted_average",
]

Outputs = Callable[[Update], "np.ndarray | None"]
"""outputs(update): (n_classes,) bool, the classifier's rows that enter the merge; None: all rows."""


def weighted_average(
    structure: Structure,
    old: Arrays,
    updates: Iterator[Update],
    weight: Weight = "examples",
    *,
    dilute: bool = False,
    outputs: Outputs = lambda update: None,
) -> dict[str, np.ndarray]:
    """sum(w_c * value_c) / sum(w_c) over the clients c that trained a coordinate, in float64.

    weight `examples`: w_c is the client's number of examples; `clients`: 1. Both are one number for all that
    a client trained, however often. `trained_examples`: the number of examples, repeats counted, in the
    finished steps that trained the coordinate; `macs`: the MACs that these steps were charged, each step
    whole (forward, backward, frozen layers and a teacher's pass too). Each is multiplied by `Update.weight`.
    dilute: the part of its weight with
    which a client did not train a coordinate counts for the old value, so that the sums run over all clients.
    Updates are added in the order in which they arrive; values for coordinates that a client did not train
    are ignored, and an update may lack parameters.
    """
    totals = {name: np.zeros(a.shape) for name, a in old.items()}
    weights: dict[str, np.ndarray | float] = dict.fromkeys(old, 0.0)  # a number, or numbers per channel
    everyone = 0.0
    for update in updates:
        by_step = step_weights(update, weight)
        limited = trained_steps(structure, update, by_step, outputs(update))
        whole = client_weight(update, weight)
        everyone += whole
        for name in update.arrays:
            total = totals[name]
            if name not in limited:
                add_scaled(total, update.arrays[name], whole)
                weights[name] = weights[name] + whole
                continue
            own = whole * (limited[name] > 0) if by_step is None else limited[name]
            by_owner, factor = spread(structure.tensors[name], own)
            add_scaled(total.reshape(by_owner), update.arrays[name].reshape(by_owner), factor)
            weights[name] = weights[name] + own
    if dilute:
        for name, value in old.items():
            layout = structure.tensors[name]
            shape, missing = _spread_any(layout, everyone - weights[name])
            add_scaled(totals[name].reshape(shape), value.reshape(shape), missing)
        weights = dict.fromkeys(old, everyone)
    return {
        name: _mean(value, totals.pop(name), weights[name], structure.tensors[name])
        for name, value in old.items()
    }


def client_weight(update: Update, weight: Weight) -> float:
    """A client's weight for coordinates that it trained in all its steps, before normalisation."""
    by_step = step_weights(update, weight)
    if by_step is not None:
        return float(by_step.sum())
    return update.weight * (1.0 if weight == "clients" else float(update.facts.n_examples))


def step_weights(update: Update, weight: Weight) -> np.ndarray | None:
    """(n_steps,) float64, what each finished step adds to the weight of a coordinate that it trained.

    None where a client's weight does not depend on how often it trained a coordinate.
    """
    if weight == "trained_examples":
        return update.weight * update.coverage.examples.astype(float)
    return update.weight * update.coverage.macs.astype(float) if weight == "macs" else None


def _spread_any(
    layout: TensorLayout, weight: np.ndarray | float
) -> tuple[tuple[int, ...], np.ndarray | float]:
    return (layout.shape, weight) if isinstance(weight, float) else spread(layout, weight)


def _mean(old: np.ndarray, total: np.ndarray, weight: np.ndarray | float, layout: TensorLayout) -> np.ndarray:
    if isinstance(weight, float):
        return divide(total, weight, old)
    by_owner, weight = spread(layout, weight)
    return divide(total.reshape(by_owner), weight, old.reshape(by_owner)).reshape(old.shape)


def trained_steps(
    structure: Structure,
    update: Update,
    step_weights: np.ndarray | None = None,
    outputs: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Number of steps that trained each channel of the parameters that some step trained only in part.

    Parameter name -> float64 with as many axes as the parameter: one entry per channel on the axes that hold
    channels (on the input axis of a grouped convolution, the channels of the row's block), length 1 on the
    others. A step counts as its entry in step_weights (n_steps,), or as 1. outputs: (n_classes,) bool, the
    classifier's rows that count as trained; None: all rows.
    """
    limited = {g for g, kept in enumerate(update.coverage.kept) if kept is not None}
    if not limited and outputs is None:
        return {}
    ones = np.ones(update.n_steps) if step_weights is None else step_weights
    result = {}
    for name in update.arrays:
        layout = structure.tensors[name]
        rows = outputs if name in structure.classifier else None
        if limited.isdisjoint(layout.cut_groups) and rows is None:
            continue
        axes = [dim for dim, axis in enumerate(layout.axes) if is_cut(axis)]
        axes = [0, 1] if layout.blocks > 1 else axes
        kept = [update.coverage.axis(layout.axes[dim]) for dim in axes]
        trained = _in_all(kept, ones, layout.blocks)
        shape = [1] * len(layout.axes)
        for dim, size in zip(axes, trained.shape, strict=True):
            shape[dim] = size
        trained = trained.reshape(shape)
        result[name] = trained if rows is None else trained * rows.reshape(-1, *(1,) * (len(shape) - 1))
    return result


def _in_all(kept: Sequence[np.ndarray], step_weights: np.ndarray, blocks: int) -> np.ndarray:
    """Weighted number of steps that kept a channel on every axis; kept: (n_steps, channels) of each axis.

    blocks > 1: there are two axes, and a row of the result covers its own block's channels of the second.
    """
    if not kept:
        return np.asarray(step_weights.sum())
    n_steps = len(step_weights)
    *left, last = kept
    so_far = step_weights[:, None]
    for own in left:
        so_far = (so_far[:, :, None] * own[:, None, :]).reshape(n_steps, -1)
    rows = so_far.reshape(n_steps, blocks, -1).transpose(1, 2, 0)
    columns = last.reshape(n_steps, blocks, -1).transpose(1, 0, 2)
    lengths = [own.shape[1] for own in left]
    result: np.ndarray = (rows @ columns).reshape(*lengths, -1)
    return result


def spread(layout: TensorLayout, per_channel: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """(shape for a view of the tensor, values per channel that broadcast to it); see `trained_steps`.

    Where every channel owns the same number of positions of an axis, the positions become a separate axis,
    so that the values need not be repeated.
    """
    shape: list[int] = []
    broadcast: list[int] = []
    for dimension, size in enumerate(layout.shape):
        if per_channel.shape[dimension] == 1:
            shape.append(size)
            broadcast.append(1)
            continue
        inner = _inner(layout.axes[dimension])
        inner = inner[: len(inner) // (layout.blocks if dimension == 1 else 1)]
        if (inner == inner[0]).all():
            owned = [int(inner[0])] if inner[0] > 1 else []
            shape += [len(inner), *owned]
            broadcast += [len(inner), *(1 for _ in owned)]
        else:
            per_channel = np.repeat(per_channel, inner, axis=dimension)
            shape.append(size)
            broadcast.append(size)
    return tuple(shape), per_channel.reshape(broadcast)


def _inner(axis: Axis) -> np.ndarray:
    return np.concatenate([np.full(segment.size, segment.inner) for segment in axis])
