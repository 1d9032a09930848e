"""The rows of an experiment's plan, section by section: pairs of label and text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distreal_sim.base.process import n_cores
from distreal_sim.base.text import counted, duration, percent, si
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.messages import Status, Update
from distreal_sim.client.settings import Overrun
from distreal_sim.client.task import Task
from distreal_sim.codecs.plain import Plain
from distreal_sim.config import Experiment
from distreal_sim.fronts import fresh
from distreal_sim.fronts.bundled import BundledFront
from distreal_sim.fronts.front import Front, gap_line
from distreal_sim.fronts.option import UniformFront
from distreal_sim.inspection import cautions
from distreal_sim.inspection.capacity import ends, fixing_line, shown_as_1, unit_line
from distreal_sim.inspection.costs import cost_rows
from distreal_sim.inspection.data import NOUNS, data_lines
from distreal_sim.inspection.estimate import WallTimes, window
from distreal_sim.inspection.levels import choices, levels_line
from distreal_sim.inspection.texts import Rows, describe, spread
from distreal_sim.server.selection.uniform import Uniform
from distreal_sim.thinning.cost import training_macs

MAX_SAMPLE = 200
"""Most clients whose capacity is looked at."""

UNMEASURED = "not known whether thinning pays; `search` with `front` measures it"
"""Of a front that thins, and whose file says nothing of fewer full steps."""

NO_PROGRESS = "measured where the full network makes no progress from the snapshots"
"""Of a front that was compared with fewer full steps that achieve nothing."""

OVERRUNS: dict[Overrun, str] = {
    "drop": "the update of a client that misses the deadline is lost",
    "partial": "of a client that misses the deadline the finished steps count",
    "wait": "the server waits for every client",
}
"""What becomes of a client still computing at the deadline."""


def sample(n_clients: int, most: int = MAX_SAMPLE) -> list[int]:
    """At most `most` client ids, evenly spread."""
    return [int(i) for i in np.unique(np.linspace(0, n_clients - 1, most).round())]


def sample_there(task: Task) -> list[int]:
    """As `sample`, of the clients that can be selected for round 1, or of all where there are none."""
    there = np.flatnonzero(task.devices.available(np.arange(len(task.split)), 1, 0.0))
    return there[sample(len(there))].tolist() if len(there) else sample(len(task.split))


def label_counts(task: Task) -> np.ndarray:
    """(n_clients, n_classes) examples of each class that each client holds; y must hold classes."""
    n_clients, n_classes = len(task.split), task.data.n_outputs
    owner = np.repeat(np.arange(n_clients), task.split.sizes)
    cells = owner * n_classes + task.data.train.y[task.split.order]
    return np.bincount(cells, minlength=n_clients * n_classes).reshape(n_clients, n_classes)


def data_rows(experiment: Experiment, task: Task, round_1: Sequence[Update]) -> Rows:
    """Data, partition and clients."""
    yield "experiment", f"{experiment.name}, seed {experiment.seed}, config hash {experiment.hash()}"
    data, sizes = task.data, task.split.sizes
    shape = " x ".join(map(str, data.shape))
    if len(data.shape) == 1:
        shape += " numbers" if data.vocabulary is None else " tokens"
    yield "data set", describe(experiment.dataset)
    sets = f"{len(data.train):,} training and {len(data.test):,} test examples"
    one, many = NOUNS[data.targets]
    yield "data set", f"{sets} of {shape}, {data.n_outputs} {one if data.n_outputs == 1 else many}"
    for line in data_lines(data):
        yield "data set", line
    yield "clients", f"{len(sizes):,}, of which {experiment.clients_per_round:,} a round"
    if experiment.availability.name != "always":
        yield "clients", f"availability {describe(experiment.availability)}"
    yield "partition", describe(experiment.partition)
    yield "partition", f"examples a client: {spread(sizes)}"
    if data.targets != "class":
        return
    counts = label_counts(task)
    classes, largest = np.mean((counts > 0).sum(axis=1)), percent(float(np.mean(counts.max(axis=1) / sizes)))
    yield (
        "partition",
        f"label skew: {classes:.1f} of {data.n_outputs} classes a client, {largest} of one (means)",
    )


def capacity_rows(experiment: Experiment, task: Task, round_1: Sequence[Update]) -> Rows:
    """Capacity, memory, links and energy of the clients."""
    client_ids = [update.facts.client_id for update in round_1]
    absolute = np.array([window(task, i, experiment.clients_per_round).macs_per_s for i in client_ids])
    unit = shown_as_1(experiment, task, client_ids)
    bounds = experiment.profile.lower_bound() * task.devices.level_1(np.array(client_ids))
    yield "capacity", describe(experiment.profile)
    yield "capacity", unit_line(experiment, task, client_ids)
    whose = _clients(len(round_1), task) + (
        "" if experiment.availability.name == "always" else " that are there"
    )
    yield "capacity", f"at t = 0, {whose}: {spread(absolute / unit)}"
    yield "capacity", f"that is {ends(absolute)}"
    yield (
        "capacity",
        f"declared lower bound: {np.min(bounds / unit):.4g}, or {si(float(np.min(bounds)), 'MAC/s')}",
    )
    if (line := fixing_line(experiment, task)) is not None:
        yield "capacity", line
    if experiment.memory.limits:
        yield "memory", describe(experiment.memory)
        yield "memory", _memory_line(task, client_ids)
    if experiment.link.name != "unlimited":
        yield "link", describe(experiment.link)
    if experiment.energy.counts:
        yield "energy", describe(experiment.energy)
    if task.devices.have_batteries:
        yield "battery", describe(experiment.battery)
    if experiment.controller.acts:
        yield "controller", describe(experiment.controller)


def _memory_line(task: Task, client_ids: Sequence[int]) -> str:
    """What a step of the full network takes, and who has as much."""
    n_examples = [max(batch_sizes(int(task.split.sizes[i]), task.local)) for i in client_ids]
    peaks = np.array([task.peak_bytes(task.full, n) for n in n_examples])
    own = np.array([task.devices.memory_bytes(i) for i in client_ids])
    return (
        f"a step of the full network takes {si(float(peaks.max()), 'B')} at its peak; "
        f"{int((own >= peaks).sum())} of {len(client_ids)} clients have as much"
    )


def _clients(n: int, task: Task) -> str:
    return f"all {n} clients" if n == len(task.split) else f"{n} of {len(task.split):,} clients"


def method_rows(experiment: Experiment, task: Task, round_1: Sequence[Update]) -> Rows:
    """The method, its levels and their costs, and who is in time."""
    yield "method", describe(experiment.method)
    yield "overrun", f"{experiment.overrun}: {OVERRUNS[experiment.overrun]}"
    yield "merge", describe(experiment.merge)
    if not experiment.coordination.in_rounds:
        yield "coordination", describe(experiment.coordination)
    if experiment.selection != Uniform():
        yield "selection", describe(experiment.selection)
    if experiment.selection.asks:
        yield (
            "selection",
            "it asks clients before it selects them; time, MACs and bytes of that are in the tables of a run "
            "and of `plan`, and not in the figures of round 1 here",
        )
    if experiment.codec != Plain():
        yield "codec", describe(experiment.codec)
    if experiment.download_codec != Plain():
        yield "download codec", describe(experiment.download_codec)
    frames = [window(task, u.facts.client_id, experiment.clients_per_round) for u in round_1]
    macs: dict[str, float] = {"the full model": training_macs(task.configured, task.configured.full_counts())}
    if task.is_narrowed:
        macs["the narrowed model"] = task.charge_per_example(task.structure.full_counts())
    if task.front is not None:
        entries = task.front.entries
        cheapest = entries[0].macs_per_planned_example
        share = percent(cheapest / entries[-1].macs)
        n_entries, rates = counted(len(entries), "entry", "entries"), counted(len(task.front.groups), "rate")
        yield "front", f"{n_entries} of {rates}, the cheapest with {share} of the full MACs"
        if task.front.has_memory:
            others = len(entries) - len(task.front.fastest.entries)
            yield "front", f"made for memory too: {others} of them only for clients with less of it"
        if task.front.has_shares:
            below_1 = [entry.share for entry in entries if entry.share < 1]
            yield "front", f"{len(below_1)} for a share of the planned examples: {spread(below_1)}"
        if task.front.wide_gap is not None:
            yield "front", gap_line(*task.front.wide_gap)
        yield "front", _origin(experiment, task.front)
        if (worth := _worth(experiment, task.front)) is not None:
            yield "front", worth
        charges = [entry.share * task.charge_per_example(entry.counts) for entry in entries]
        macs["the cheapest entry"] = min(charges)
    if levels := choices(experiment.method, task):
        yield "levels", levels_line(levels, task)
    yield from cost_rows(experiment, task)
    for what, cost in macs.items():
        share = percent(sum(frame.fits(cost) for frame in frames) / len(frames))
        yield "in time", f"{what} at the capacity of t = 0: {share} of the clients"
    status = [update.facts.status for update in round_1]
    kinds: tuple[Status, ...] = ("completed", "partial", "dropped")
    shares = ", ".join(f"{percent(status.count(kind) / len(status))} {kind}" for kind in kinds)
    yield "in time", f"in round 1 as it comes: {shares}"
    if keep_rates := [u.facts.mean_keep_rate for u in round_1 if u.is_merged and u.facts.mean_keep_rate < 1]:
        share = percent(len(keep_rates) / len(status))
        yield "in time", f"{share} are thinned, and keep on average of their channels {spread(keep_rates)}"
    down, up = ([getattr(u.facts, f"{way}load_bytes") for u in round_1] for way in ("down", "up"))
    yield "traffic", f"a client and round: {_bytes(down)} down, {_bytes(up)} up"


def _bytes(values: Sequence[int]) -> str:
    """The smallest and the largest number of bytes of those whose transfer takes place."""
    ends = [si(f([n for n in values if n] or [0]), "B") for f in (min, max)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _worth(experiment: Experiment, front: Front) -> str | None:
    """Whether thinning pays, as far as it is known; None where nothing is thinned, and where a warning tells
    that the front was searched for something else.
    """
    if not front.thins:
        return None
    is_known = cautions.worth_is_known(experiment, front)
    if is_known and (pays := fresh.where_it_pays(front.made)) is not None:
        lost = " (overrun=drop loses them)" if experiment.overrun == "drop" else ""
        clock = "" if experiment.cost == "macs" else "; by MACs, not by time"
        return f"{pays}, against fewer full steps{lost}{clock}"
    if cautions.searched_otherwise(experiment, front):
        return None
    return NO_PROGRESS if is_known and fresh.is_measured(front.made) else UNMEASURED


def _origin(experiment: Experiment, front: Front) -> str:
    """Where the front is from; for one that was made here, whether a searched one is bundled."""
    if not isinstance(getattr(experiment.method, "front", None), UniformFront):
        return front.origin
    plain = experiment.resolved()
    auto = experiment.method.model_copy(update={"front": "auto"}).settled(plain["model"], plain["dataset"])
    found = getattr(auto, "front", None)
    named = f"{found.bundled} is bundled (method.front=auto)" if isinstance(found, BundledFront) else ""
    rival = named or "none is bundled"
    return f"{front.origin}; for this model, data set and way of thinning {rival}"


def time_rows(
    experiment: Experiment, task: Task, narrowed: bool, round_1: Sequence[Update], times: WallTimes
) -> Rows:
    """Simulated time, and an estimate of wall time."""
    bound = "at most " if experiment.round_end == "early" else ""
    if experiment.overrun == "wait":
        bound = "about " if bound else "at least "
    total_s = experiment.rounds * experiment.deadline_s
    lasts = f"{counted(experiment.rounds, 'round')} of {experiment.deadline_s:g} s: {bound}{total_s:,.10g} s"
    if not experiment.coordination.in_rounds:
        steps = counted(experiment.rounds, "step")
        lasts, total_s = f"{steps} of the server; run --no-training says when they are", 0.0
    yield "simulated", lasts + (f" ({duration(total_s)})" if total_s >= 120 else "")
    every, n_test = experiment.evaluation.every, len(task.data.test)
    n_evaluations = experiment.rounds // every + bool(experiment.rounds % every)
    n_jobs = experiment.rounds * experiment.coordination.n_merged(experiment.clients_per_round)
    training = n_jobs * times.training_wall_s(round_1)
    testing = n_evaluations * times.evaluation_wall_s(n_test, experiment.evaluation)
    one, cores = training + testing, n_cores()
    many = one / min(cores, experiment.clients_per_round)
    all_cores = f", {duration(many)} with {cores} workers (one per core)" if cores > 1 else ""
    yield "wall time", f"ESTIMATE: {duration(one)} with 1 worker{all_cores}"
    yield (
        "wall time",
        f"{duration(training)} training, {duration(testing)} for {counted(n_evaluations, 'evaluation')}",
    )
    thinned = "front's median entry" if task.front is not None else "sub-model"
    names = [thinned, "narrowed model" if narrowed else "full model"]
    for name, (_, wall_s) in zip(names[-len(times.steps) :], times.steps, strict=True):
        yield "wall time", f"measured on {task.device}: {_ms(wall_s)} a step of {times.batch_size}, {name}"
    n_tested = min(n_test, experiment.evaluation.batch_size)
    yield "wall time", f"measured on {task.device}: {_ms(times.test_batch_wall_s)} a test batch of {n_tested}"
    yield "wall time", "not counted: start-up, messages, merging, changes after round 1"


def _ms(wall_s: float) -> str:
    return f"{1000 * wall_s:.3g} ms" if wall_s < 0.9995 else f"{wall_s:.3g} s"
