"""A client's round: the one SGD loop, thinned or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from distreal_sim.base.errors import RunError
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_indices, batch_sizes
from distreal_sim.client.messages import Arrays, Facts, Job, Update
from distreal_sim.client.schedule import Choose, Overrun, Schedule, schedule
from distreal_sim.client.task import Task
from distreal_sim.codecs import npy
from distreal_sim.devices.capacity import Capacity
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Counts, Structure

Coverage = tuple[np.ndarray | None, ...]
DrawMask = Callable[[int, Counts], Mask | None]
"""draw(step, counts): which filters a step keeps; None for all."""

TakeStep = Callable[[Engine, Tensor, Tensor, Mask | None, float], float]
"""take(engine, x, y, mask, lr): computes one step and returns its loss."""


@dataclass(frozen=True)
class Traffic:
    """Bytes of a job's transfers.

    coverage: whether the client says beside the upload which channels its steps kept, a bit each; a server
    that chose them, or can redraw them, needs no telling.
    """

    download_bytes: int
    upload_bytes: int
    coverage: bool = False


def both_ways(arrays: Arrays, coverage: bool = False) -> Traffic:
    """The whole model travels in both directions."""
    n_bytes = sum(array.nbytes for array in arrays.values())
    return Traffic(n_bytes, n_bytes, coverage)


def keep_all(step: int, counts: Counts) -> Mask | None:
    """The full network in every step."""
    return None


def take_step(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
    """A plain or thinned SGD step."""
    return engine.step(x, y, mask, lr)


def train(
    task: Task,
    job: Job,
    capacity: Capacity,
    rngs: Rngs,
    *,
    choose: Choose,
    overrun: Overrun,
    draw_mask: DrawMask = keep_all,
    take: TakeStep = take_step,
    cost: Callable[[Counts], int] | None = None,
    traffic: Traffic | None = None,
    trained: Sequence[str] | None = None,
) -> Update:
    """Times the client's round and, unless its update is lost, computes it.

    choose: the kept channels of a step, from what the client knows just before it; draw_mask: which
    channels these are; overrun: what happens at the deadline. take: how a step is computed. cost: MACs per
    example of a step with these channels; the thinned network's if not given. traffic: what travels; if not
    given the whole model both ways, and the coverage where there are masks. trained: names of the
    parameters that come back; all if not given.
    """
    indices = task.split[job.client_id]
    sizes = batch_sizes(len(indices), task.local)
    link = task.link(job.client_id)
    if traffic is None:
        traffic = both_ways(job.arrays, draw_mask is not keep_all)
    coverage_bytes = _coverage_bytes(task.structure, len(sizes)) if traffic.coverage else 0
    plan = schedule(
        sizes,
        capacity,
        cost or task.macs_per_example,
        choose,
        start_s=traffic.download_bytes / link.download_bytes_per_s,
        end_s=task.deadline_s - (traffic.upload_bytes + coverage_bytes) / link.upload_bytes_per_s,
        overrun=overrun,
        deadline_s=task.deadline_s,
    )
    lost = plan.status == "dropped"
    losses: list[float] = []
    drawn = enumerate(plan.steps) if task.computes and not lost else ()
    masks = [draw_mask(number, step.counts) for number, step in drawn]
    coverage = _coverage(task.structure, masks)
    diverged = False
    arrays: dict[str, np.ndarray] = {}
    if task.computes and not lost:
        engine = task.engine
        engine.load(job.arrays)
        lr = task.local.rate(job.round_number, task.rounds)
        batches = batch_indices(sizes, len(indices), rngs("batches"))[: len(masks)]
        examples = task.batches(task.data.train, [indices[batch] for batch in batches])
        with rngs.seeded_globals("torch"):
            for mask, (x, y) in zip(masks, examples, strict=True):
                losses.append(take(engine, x, y, mask, lr))
        diverged = not (engine.is_finite and all(map(math.isfinite, losses)))
        if diverged and task.local.nonfinite == "fail":
            raise RunError(
                "its weights or its loss are infinite or not a number; lower local.lr, or leave such clients "
                "out with local.nonfinite: exclude"
            )
        arrays = {} if diverged else engine.export(trained, npy.empty)
    sent_bytes = traffic.upload_bytes
    if traffic.coverage:
        sent_bytes += _sent_coverage_bytes(task.structure, plan)
    facts = Facts(
        client_id=job.client_id,
        status="diverged" if diverged else plan.status,
        n_examples=len(indices),
        n_steps_planned=plan.n_planned,
        n_steps_done=len(plan.steps),
        macs=plan.macs,
        sim_s=task.deadline_s if lost else plan.compute_end_s + sent_bytes / link.upload_bytes_per_s,
        mean_keep_rate=_mean_keep_rate(task.structure, plan),
        download_bytes=traffic.download_bytes,
        upload_bytes=0 if lost else sent_bytes,
        train_loss=math.nan if diverged else _mean_loss(losses, plan),
    )
    return Update(facts, arrays, coverage, np.array([step.n_examples for step in plan.steps], np.int64))


def skip(task: Task, job: Job) -> Update:
    """The update of a client that sees at the start that it cannot do its part, and takes no part."""
    n_examples = len(task.split[job.client_id])
    n_planned = len(batch_sizes(n_examples, task.local))
    facts = Facts(
        client_id=job.client_id,
        status="dropped",
        n_examples=n_examples,
        n_steps_planned=n_planned,
        n_steps_done=0,
        macs=0,
        sim_s=0.0,
        mean_keep_rate=math.nan,
        download_bytes=0,
        upload_bytes=0,
        train_loss=math.nan,
    )
    return Update(facts, {}, (None,) * len(task.structure.groups), np.zeros(0, np.int64))


def _coverage(structure: Structure, masks: Sequence[Mask | None]) -> Coverage:
    coverage: list[np.ndarray | None] = []
    for index, group in enumerate(structure.groups):
        kept = [None if mask is None else mask.kept[index] for mask in masks]
        if all(k is None for k in kept):
            coverage.append(None)
            continue
        steps = np.zeros((len(masks), group.channels), bool)
        for row, k in zip(steps, kept, strict=True):
            row[slice(None) if k is None else k] = True
        coverage.append(steps)
    return tuple(coverage)


def _coverage_bytes(structure: Structure, n_steps: int) -> int:
    return sum(math.ceil(n_steps * group.channels / 8) for group in structure.groups)


def _sent_coverage_bytes(structure: Structure, plan: Schedule) -> int:
    """A bit a channel and finished step, of the groups of which some step dropped something."""
    if not plan.steps:
        return 0
    least = np.min([step.counts for step in plan.steps], axis=0)
    channels = [g.channels for g, kept in zip(structure.groups, least, strict=True) if kept < g.channels]
    return sum(math.ceil(len(plan.steps) * n / 8) for n in channels)


def _mean_keep_rate(structure: Structure, plan: Schedule) -> float:
    full = np.array(structure.full_counts())
    if not len(full):  # nothing can be dropped
        return 1.0 if plan.steps else math.nan
    total = 0.0
    for step in plan.steps:  # added one by one: sum() rounds in its own way from Python 3.12 on
        total += float(np.mean(np.array(step.counts) / full))
    return total / len(plan.steps) if plan.steps else math.nan


def _mean_loss(losses: Sequence[float], plan: Schedule) -> float:
    if not losses:  # none finished, or none computed
        return math.nan
    sizes = [step.n_examples for step in plan.steps]
    return sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / sum(sizes)
