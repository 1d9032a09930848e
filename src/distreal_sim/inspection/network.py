"""The rows on the network, what of it is never thinned, and the local work."""

from __future__ import annotations

from collections.abc import Sequence

from distreal_sim.base.text import compact, counted, percent, si
from distreal_sim.client.messages import Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.inspection.texts import Rows, describe, spread
from distreal_sim.thinning.cost import forward_macs, n_parameters, training_macs
from distreal_sim.thinning.structure import Structure, Whole


def _cost(structure: Structure) -> list[str]:
    counts = structure.full_counts()
    groups = f"{counted(len(counts), 'coupling group')} with {counted(sum(counts), 'channel')}"
    forward, training = (si(f(structure, counts), "MAC") for f in (forward_macs, training_macs))
    return [
        f"{n_parameters(structure, counts):,} parameters; {groups}",
        f"per example {forward} forward, {training} training (both ways)",
    ]


def left_whole(structure: Structure) -> list[str]:
    """What of a network is never thinned, with its share of the MACs, and why: a line for each reason."""
    total = training_macs(structure, structure.full_counts())
    by_reason: dict[str, list[Whole]] = {}
    for whole in structure.whole:
        by_reason.setdefault(whole.reason, []).append(whole)
    lines = []
    for reason, of in by_reason.items():
        others = f" and {len(of) - 1} more" if len(of) > 1 else ""
        share = percent(sum(whole.macs for whole in of) / total)
        lines.append(f"{of[0].module}{others}, {share} of the MACs, because {reason}")
    return lines


def _kept(task: Task) -> list[str]:
    """Of a narrowed network: filters left in each coupling group, and parameters."""
    pairs = zip(task.full, task.configured.full_counts(), strict=True)
    left, all_ = (n_parameters(s, s.full_counts()) for s in (task.structure, task.configured))
    return [
        f"filters left in each group: {compact([f'{kept}/{channels}' for kept, channels in pairs])}",
        f"{left:,} of {all_:,} parameters left ({percent(left / all_)})",
    ]


def network_rows(experiment: Experiment, task: Task, round_1: Sequence[Update]) -> Rows:
    """The network and the local work."""
    yield "task", describe(task.scoring.learning)
    yield "model", describe(experiment.model)
    for line in _cost(task.configured):
        yield "model", line
    if experiment.method.thins:
        yield from (("not thinned", line) for line in left_whole(task.configured))
    if task.is_narrowed:
        yield "trained", f"the model narrowed by method {experiment.method.name}"
        for line in [*_cost(task.structure), *_kept(task)]:
            yield "trained", line
    elif task.structure.parameters != task.configured.parameters:
        yield "trained", f"the model with what method {experiment.method.name} adds to it"
        for line in _cost(task.structure):
            yield "trained", line
    local = experiment.local
    work = counted(local.epochs, "epoch") if local.epochs else counted(local.steps or 0, "step")
    clipped = f", gradients of norm {local.clip_norm:g} at most" if local.clip_norm else ""
    smoothed = f", label smoothing {local.label_smoothing:g}" if local.label_smoothing else ""
    yield "local work", f"{work}, lr {local.lr:g} ({describe(local.lr_schedule)}){clipped}{smoothed}"
    yield "local work", f"optimizer {describe(local.optimizer)}"
    for change in local.augment:
        yield "local work", f"augmentation {describe(change)}"
    steps = spread([update.facts.n_steps_planned for update in round_1])
    yield "local work", f"mini-batches of {local.batch_size}; a client has {steps}"
