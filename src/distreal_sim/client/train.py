"""A client's round: the one SGD loop, thinned or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from operator import mul
from typing import Literal

import numpy as np

from distreal_sim.base.errors import RunError
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_indices
from distreal_sim.client.client import Client
from distreal_sim.client.columns import CHARGED, CONTROLLED, PEAK_MEMORY, names_of
from distreal_sim.client.coverage import Coverage, mean_keep_rate, most_bytes, sent_bytes
from distreal_sim.client.energy import ENERGY, joules
from distreal_sim.client.messages import Facts, Job, Update
from distreal_sim.client.schedule import (
    TOLERANCE,
    Choice,
    Choose,
    Schedule,
    Step,
    plain_step,
    schedule,
    too_late,
)
from distreal_sim.client.traffic import Traffic
from distreal_sim.thinning.masks import Mask


def train(
    client: Client,
    job: Job,
    choose: Choose | Choice,
    traffic: Traffic,
    *,
    trained: Sequence[str] | None = None,
) -> Update:
    """Times the client's round and, unless its update is lost, computes it.

    choose: chooses each step just before it starts, or is the choice of all steps; traffic: bytes that
    travel; trained: names of the parameters that the update holds, all if not given.
    """
    task, structure = client.task, client.task.structure
    expected = traffic
    if traffic.coverage:
        most = most_bytes(task.codec, structure, len(client.batch_sizes))
        expected = replace(traffic, upload_bytes=traffic.upload_bytes + most)
    start_s, end_s = client.compute_window(expected)
    plan = schedule(
        client.batch_sizes,
        client.capacity,
        choose,
        start_s=start_s,
        end_s=end_s,
        overrun=task.overrun,
        deadline_s=task.deadline_s,
        presence=client.presence,
    )
    steps, examples, macs = [], [], []
    for step in plan.steps:
        steps.append(step.choice.counts)
        examples.append(step.n_examples)
        macs.append(step.macs)
    told = sent_bytes(task.codec, structure, steps) if traffic.coverage else 0
    upload_bytes = traffic.upload_bytes + told
    done_s = plan.compute_end_s + client.link.upload_s(upload_bytes, plan.compute_end_s)
    late = bool(too_late(done_s, task.deadline_s, task.overrun)) or done_s > plan.leaves_s * (1 + TOLERANCE)
    lost = plan.status == "dropped" or late
    computed = plan.steps if task.computes and not lost else ()
    masks = [step.choice.mask() for step in computed]
    losses, arrays = _compute(client, job, masks, computed, trained) if computed else ([], {})
    diverged, sim_s = arrays is None, task.deadline_s if lost else done_s
    facts = Facts(
        client_id=client.id,
        status="dropped" if lost else "diverged" if diverged else plan.status,
        n_examples=len(client.examples),
        n_steps_planned=plan.n_planned,
        n_steps_done=len(plan.steps),
        macs=plan.macs,
        sim_s=sim_s,
        mean_keep_rate=mean_keep_rate(structure, steps),
        download_bytes=traffic.download_bytes,
        upload_bytes=0 if lost else upload_bytes,
        train_loss=math.nan if diverged else _mean_loss(losses, examples),
        metrics={
            **_charged(client, plan.charged_macs),
            **_peak_memory(client, plan.steps),
            **_energy(client, plan, start_s, traffic, upload_bytes),
            **_controlled(client),
        },
        download_s=min(start_s, sim_s),
        compute_s=plan.compute_end_s - start_s,
    )
    coverage = Coverage.of(structure, masks, examples, macs)
    return Update(facts, arrays or {}, coverage, travels_whole=traffic.coverage)


def skip(client: Client, why: Literal["dropped", "out_of_memory", "battery"] = "dropped") -> Update:
    """The update of a client that skips the round: it cannot do its work in time, in its memory, or on its
    battery.
    """
    facts = Facts(
        client_id=client.id,
        status=why,
        n_examples=len(client.examples),
        n_steps_planned=len(client.batch_sizes),
        n_steps_done=0,
        macs=0,
        sim_s=0.0,
        mean_keep_rate=math.nan,
        download_bytes=0,
        upload_bytes=0,
        train_loss=math.nan,
        metrics={
            **_charged(client, 0),
            **_peak_memory(client, ()),
            **_no_energy(client),
            **_controlled(client),
        },
    )
    return Update(facts, {}, Coverage.empty(client.task.structure))


def _charged(client: Client, macs: int) -> dict[str, float]:
    """The further column of a run in which time is measured."""
    return {} if client.task.charges is None else {CHARGED.name: float(macs)}


def _energy(
    client: Client, plan: Schedule, start_s: float, traffic: Traffic, upload_bytes: int
) -> dict[str, float]:
    """The further columns of a run in which energy is counted.

    A client that drops out sends nothing, and one whose upload comes too late sends until the deadline.
    """
    task, link, energy = client.task, client.link, client.task.devices.energy
    if not energy.counts:
        return {}
    upload_s = link.upload_s(upload_bytes, plan.compute_end_s)
    sends = plan.status != "dropped"
    limit_s = plan.leaves_s if task.overrun == "wait" else min(task.deadline_s, plan.leaves_s)
    late = plan.compute_end_s + upload_s > limit_s * (1 + TOLERANCE)
    share = ((limit_s - plan.compute_end_s) / upload_s if late else 1.0) if sends else 0.0
    return joules(
        energy,
        compute_j=energy.computing_j(plan.macs, client.capacity, start_s, plan.compute_end_s),
        download_bytes=traffic.download_bytes,
        download_s=start_s,
        upload_bytes=upload_bytes,
        upload_s=upload_s,
        share=share,
        sending_w=client.sending_w,
    )


def _controlled(client: Client) -> dict[str, float]:
    """The further columns of a run in which a controller sets the devices."""
    names = names_of(CONTROLLED) if client.task.devices.controller.acts else []
    return {name: client.told.get(name, math.nan) for name in names}


def _no_energy(client: Client) -> dict[str, float]:
    """The same for a client that skips the round."""
    return dict.fromkeys(names_of(ENERGY), 0.0) if client.task.devices.energy.counts else {}


def _peak_memory(client: Client, steps: Sequence[Step]) -> dict[str, float]:
    """The further column of a run in which memory is limited."""
    if not client.task.devices.memory.limits:
        return {}
    kinds = {(step.choice.counts, step.n_examples) for step in steps}
    return {PEAK_MEMORY.name: max((float(client.task.peak_bytes(*kind)) for kind in kinds), default=math.nan)}


def _compute(
    client: Client,
    job: Job,
    masks: Sequence[Mask | None],
    steps: Sequence[Step],
    trained: Sequence[str] | None,
) -> tuple[list[float], dict[str, np.ndarray] | None]:
    """(loss of each step, final parameters); None in place of parameters that are not finite.

    Raises RunError for such parameters if `local.nonfinite` is `fail`.
    """
    task, rngs = client.task, client.rngs
    engine = task.engine
    engine.load(job.arrays)
    batches = batch_indices(client.batch_sizes, len(client.examples), rngs("batches"))[: len(steps)]
    examples = task.batches(task.data.train, [client.examples[batch] for batch in batches])
    losses = []
    draws = engine.draws or task.local.augment or any(s.choice.compute is not plain_step for s in steps)
    with rngs.seeded_globals("torch") if draws else nullcontext():
        for number, (step, mask, (x, y)) in enumerate(zip(steps, masks, examples, strict=True)):
            if task.local.augment:
                x = task.augmented(x, Rngs(rngs.seed, (*rngs.key, number)))
            losses.append(step.choice.compute(engine, x, y, mask, job.round.lr))
    if engine.is_finite and all(map(math.isfinite, losses)):
        return losses, engine.export(trained, client.empty)
    if task.local.nonfinite == "fail":
        raise RunError(
            "its weights or its loss are infinite or not a number; lower local.lr, or leave such clients "
            "out with local.nonfinite: exclude"
        )
    return losses, None


def _mean_loss(losses: Sequence[float], examples: Sequence[int]) -> float:
    """Mean over the examples of the finished steps; NaN where none finished, or none was computed."""
    return sum(map(mul, losses, examples)) / sum(examples) if losses else math.nan
