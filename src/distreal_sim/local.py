"""A client's round: the one SGD loop, thinned or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from distreal_sim.batches import batch_indices, batch_sizes
from distreal_sim.capacity import Capacity
from distreal_sim.rng import Rngs
from distreal_sim.schedule import Choose, Overrun, Schedule, schedule
from distreal_sim.task import Task
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure
from distreal_sim.types import Facts, Job, Update

Coverage = tuple[np.ndarray | None, ...]
DrawMask = Callable[[int, tuple[int, ...]], Mask | None]
"""draw(step, counts): which filters a step keeps; None for all."""


def keep_all(step: int, counts: tuple[int, ...]) -> Mask | None:
    """The full network in every step."""
    return None


def train(
    task: Task,
    job: Job,
    capacity: Capacity,
    rngs: Rngs,
    *,
    choose: Choose,
    draw_mask: DrawMask = keep_all,
    overrun: Overrun,
) -> Update:
    """Times the client's round and, unless its update is lost, computes it.

    choose: the kept channels of a step, from what the client knows just before it; draw_mask: which
    channels these are; overrun: what happens at the deadline.
    """
    indices = task.split[job.client_id]
    sizes = batch_sizes(len(indices), task.local)
    link = task.link(job.client_id)
    model_bytes = sum(a.nbytes for a in job.arrays.values())
    download_s = model_bytes / link.download_bytes_per_s
    coverage_bytes = 0 if draw_mask is keep_all else _coverage_bytes(task.structure, len(sizes))
    upload_s = (model_bytes + coverage_bytes) / link.upload_bytes_per_s
    plan = schedule(
        sizes,
        capacity,
        task.macs_per_example,
        choose,
        start_s=download_s,
        end_s=task.deadline_s - upload_s,
        overrun=overrun,
        deadline_s=task.deadline_s,
    )
    losses: list[float] = []
    masks: list[Mask | None] = []
    arrays: dict[str, np.ndarray] = {}
    if plan.status != "dropped":
        engine = task.engine
        engine.load(job.arrays)
        lr = task.local.rate(job.round_number, task.rounds)
        batches = batch_indices(sizes, len(indices), rngs("batches"))
        with rngs.torch_default("torch"):
            for number, (step, batch) in enumerate(zip(plan.steps, batches, strict=False)):
                x, y = task.batch(task.data.train, indices[batch])
                masks.append(draw_mask(number, step.counts))
                losses.append(engine.step(x, y, masks[-1], lr))
        arrays = engine.export()
    coverage = _coverage(task.structure, masks)
    sent_bytes = model_bytes + sum(math.ceil(k.size / 8) for k in coverage if k is not None)
    lost = plan.status == "dropped"
    facts = Facts(
        client_id=job.client_id,
        status=plan.status,
        n_examples=len(indices),
        n_steps_planned=plan.n_planned,
        n_steps_done=len(plan.steps),
        macs=plan.macs,
        sim_s=task.deadline_s if lost else plan.compute_end_s + sent_bytes / link.upload_bytes_per_s,
        mean_keep_rate=_mean_keep_rate(task.structure, plan),
        download_bytes=model_bytes,
        upload_bytes=0 if lost else sent_bytes,
        train_loss=_mean_loss(losses, plan),
    )
    return Update(facts, arrays, coverage, np.array([step.n_examples for step in plan.steps], np.int64))


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


def _mean_keep_rate(structure: Structure, plan: Schedule) -> float:
    full = np.array(structure.full_counts())
    shares = [float(np.mean(np.array(step.counts) / full)) for step in plan.steps]
    return sum(shares) / len(shares) if shares else math.nan


def _mean_loss(losses: Sequence[float], plan: Schedule) -> float:
    if not losses:
        return math.nan
    sizes = [step.n_examples for step in plan.steps]
    return sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / sum(sizes)
