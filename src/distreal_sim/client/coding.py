"""Updates and models on their way: what travels of them, as the codecs encode and decode it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import GRADIENT, Arrays, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.thinning.structure import Structure, kept_elements

Part = tuple[np.ndarray, ...] | np.ndarray
"""What travels of an array: `array[part]`; index arrays, or a mask."""

Parts = Mapping[str, Part]
"""Parts by the names of the arrays that do not travel whole."""


def kept_parts(structure: Structure, names: Iterable[str], update: Update) -> Parts:
    """What travels of these arrays of a sub-network: the channels that at least one of its steps kept."""
    if update.travels_whole:
        return {}
    union = [None if kept is None else np.flatnonzero(kept.any(axis=0)) for kept in update.coverage.kept]
    cut = {group for group, channels in enumerate(union) if channels is not None}
    layouts = {name: structure.tensors[name] for name in names}
    return {
        name: kept_elements(layout, union)
        for name, layout in layouts.items()
        if not cut.isdisjoint(layout.cut_groups)
    }


def encode_update(task: Task, job: Job, update: Update, parts: Parts, kept: Arrays) -> tuple[Arrays, Arrays]:
    """(what travels in place of the update's arrays, what the codec keeps).

    kept: what it kept so far. It sees the part that travels and keeps it at full width, so that what it kept
    of a part that does not travel waits.
    """
    both = _known(job.arrays, update.arrays)
    known = {name: both[name] for name in update.arrays}
    whole = {name: kept.get(name, np.zeros_like(array)) for name, array in update.arrays.items()}
    seen = {**kept, **{name: array for name, array in _cut(whole, parts).items() if name in kept}}
    encoded, keeps = task.codec.encode(_cut(update.arrays, parts), _cut(known, parts), seen, _rng(task, job))
    filled = {n: _filled(whole[n], parts[n], own) if n in parts else own for n, own in keeps.items()}
    return encoded, {**kept, **filled}


def decode_update(task: Task, job: Job, update: Update, parts: Parts) -> Arrays:
    """The arrays of an update at full width; what did not travel of them is as the client got it."""
    known = _known(job.arrays, update.arrays)
    arrays = task.codec.decode(update.arrays, _cut(known, parts), _rng(task, job))
    return {n: _filled(job.arrays[n], parts[n], own) if n in parts else own for n, own in arrays.items()}


def sent_models(task: Task, jobs: Sequence[Job]) -> list[Job]:
    """The jobs with the models that their clients decode.

    Each model is encoded once for all clients; one that trains a sub-network gets its part of that.
    """
    codec = task.download_codec
    if codec.exact or not task.computes:
        return list(jobs)
    got: dict[int, Arrays] = {}
    for job in jobs:
        if id(job.arrays) not in got:
            rngs, place = Rngs(task.seed, (job.round.number,)), len(got)
            encoded, _ = codec.encode(job.arrays, {}, {}, rngs("download codec", place))
            got[id(job.arrays)] = codec.decode(encoded, {}, rngs("download codec", place))
    return [replace(job, arrays=got[id(job.arrays)]) for job in jobs]


def moved_as(update: Arrays, got: Arrays, sent: Arrays) -> Arrays:
    """The update's change of the model that its client got, as a change of the model that was sent.

    So the server's own model is never rounded.
    """
    if got is sent:
        return update
    return {
        name: sent[name] + (array - got[name]) if name in sent else array for name, array in update.items()
    }


def _known(model: Arrays, travelling: Iterable[str]) -> Arrays:
    """What client and server know beforehand of the arrays that travel: the model, and 0 for gradients."""
    if not any(name.startswith(GRADIENT) for name in travelling):
        return model
    return {**model, **{GRADIENT + name: np.zeros_like(array) for name, array in model.items()}}


def _rng(task: Task, job: Job) -> np.random.Generator:
    """The generator of the client's codec in this round."""
    return Rngs(task.seed, (job.round.key, job.client_id))("codec")


def _cut(arrays: Arrays, parts: Parts) -> dict[str, np.ndarray]:
    return {name: array[parts[name]] if name in parts else array for name, array in arrays.items()}


def _filled(whole: np.ndarray, part: Part, own: np.ndarray) -> np.ndarray:
    """A copy of the whole array with its part replaced."""
    filled = np.array(whole)
    filled[part] = own
    return filled
