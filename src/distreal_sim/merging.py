"""Averaging of updates that trained different parts of a network.

A coordinate is averaged over the clients that trained it at least once; one that nobody trained keeps its
bytes. Which client trained it follows from the channels its steps kept: a weight between channels i and o
was trained in the steps that kept both, so the counts of all weights of a layer are one product of two
(steps x channels) matrices, and no mask of the size of the model is ever sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from distreal_sim.params import add_scaled
from distreal_sim.thinning.structure import FIXED, Axis, Structure, TensorLayout
from distreal_sim.types import Arrays, Update

Weight = Literal["examples", "steps"]


def weighted_average(
    structure: Structure, old: Arrays, updates: Iterator[Update], weight: Weight = "examples"
) -> dict[str, np.ndarray]:
    """sum(w_c * value_c) / sum(w_c) over the clients c that trained a coordinate, in float64.

    weight `examples`: w_c is the client's number of examples; `steps`: the number of examples, repeats
    counted, that the coordinate was trained on. Updates are added in the order in which they come.
    """
    if weight == "steps":
        return _by_steps(structure, old, updates)
    totals = {name: np.zeros(a.shape) for name, a in old.items()}
    missing: dict[str, np.ndarray] = {}  # per channel pair: the weight of clients that did not train it
    all_weight = 0.0
    for update in updates:
        n = float(update.facts.n_examples)
        all_weight += n
        for name, total in totals.items():
            add_scaled(total, update.arrays[name], n)
        for name, counts in trained_steps(structure, update).items():
            missing[name] = missing.get(name, 0.0) + n * (counts == 0)
    if not all_weight:
        return dict(old)
    merged = {}
    for name, value in old.items():
        lost = missing.get(name)
        if lost is None or not lost.any():
            merged[name] = (totals[name] / all_weight).astype(value.dtype)
            continue
        # A client that did not train a coordinate returned the server's value: take its share out again.
        lost = spread(structure.tensors[name], lost)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (totals[name] - value * lost) / (all_weight - lost)
        merged[name] = np.where(lost == all_weight, value, mean.astype(value.dtype))
    return merged


def _by_steps(structure: Structure, old: Arrays, updates: Iterator[Update]) -> dict[str, np.ndarray]:
    totals = {name: np.zeros(a.shape) for name, a in old.items()}
    weights = {name: np.zeros(a.shape) for name, a in old.items()}
    for update in updates:
        n = update.step_examples.astype(float)
        limited = trained_steps(structure, update, n)
        for name, array in update.arrays.items():
            w = spread(structure.tensors[name], limited[name]) if name in limited else n.sum()
            totals[name] += w * array
            weights[name] += w
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            name: np.where(weights[name] == 0, value, (totals[name] / weights[name]).astype(value.dtype))
            for name, value in old.items()
        }


def trained_steps(
    structure: Structure, update: Update, step_weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """For each parameter that some step did not train whole, in how many steps each channel pair was trained.

    Parameter name -> (out channels,) or (out channels, in channels of the row's block) float64; a step
    counts as its entry in step_weights (n_steps,), or 1.
    """
    limited = {g for g, kept in enumerate(update.coverage) if kept is not None}
    if not limited:
        return {}
    ones = np.ones(update.n_steps) if step_weights is None else step_weights
    result = {}
    for name in update.arrays:
        layout = structure.tensors[name]
        if limited.isdisjoint(layout.cut_groups):
            continue
        rows = _kept_steps(layout.axes[0], update.coverage, update.n_steps) * ones[:, None]
        if len(layout.axes) == 1:
            result[name] = rows.sum(axis=0)
            continue
        columns = _kept_steps(layout.axes[1], update.coverage, update.n_steps)
        blocks = layout.blocks
        rows = rows.reshape(update.n_steps, blocks, -1).transpose(1, 2, 0)
        columns = columns.reshape(update.n_steps, blocks, -1).transpose(1, 0, 2)
        result[name] = (rows @ columns).reshape(rows.shape[0] * rows.shape[1], -1)
    return result


def spread(layout: TensorLayout, per_channel: np.ndarray) -> np.ndarray:
    """Expands a value per channel (pair) so that it broadcasts against the whole tensor."""
    for dimension, axis in enumerate(layout.axes[: per_channel.ndim]):
        inner = _inner(axis)
        if (inner > 1).any():
            blocks = layout.blocks if dimension == 1 else 1
            per_channel = np.repeat(per_channel, inner[: len(inner) // blocks], axis=dimension)
    return per_channel.reshape(*per_channel.shape, *(1,) * (len(layout.shape) - per_channel.ndim))


def _kept_steps(axis: Axis, coverage: Sequence[np.ndarray | None], n_steps: int) -> np.ndarray:
    """(n_steps, channels of the axis) float64: 1 where the step kept the channel."""
    parts = []
    for segment in axis:
        kept = None if segment.group == FIXED else coverage[segment.group]
        parts.append(np.ones((n_steps, segment.size)) if kept is None else kept.astype(float))
    return np.concatenate(parts, axis=1)


def _inner(axis: Axis) -> np.ndarray:
    return np.concatenate([np.full(segment.size, segment.inner) for segment in axis])
