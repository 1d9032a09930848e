"""Whether a run in a directory can be resumed, and go on beyond the end that it was planned with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distreal_sim.base.directory import check_same_keys, check_same_sources, read_status
from distreal_sim.base.errors import InputError
from distreal_sim.base.text import counted
from distreal_sim.client.settings import Evaluation
from distreal_sim.config import NO_EFFECT, Experiment, flat_keys, read_yaml
from distreal_sim.config.watched import Stop
from distreal_sim.recipe.metrics import Better
from distreal_sim.simulation.watch import Watch, rows_of

ENDS = ("rounds", "stop")
"""Keys that say when a run ends; those in which a run that goes on may differ from what it was."""


def ends_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ENDS in a resolved config, or in a run.json."""
    return {key: config.get(key) for key in ENDS}


def check_same(path: Path, experiment: Experiment) -> None:
    """Raises InputError naming what differs from the run to resume."""
    info = read_status(path / "run.json")
    if info and not info["training"]:
        raise InputError(
            f"{path} holds a run without training, which cannot be resumed; choose another --out"
        )
    if info and info["config_hash"] == experiment.hash():
        return
    if info and _goes_on(path, experiment, info):
        return
    old, new = flat_keys(read_yaml(path / "config.yaml")), flat_keys(experiment.resolved())
    free = {*NO_EFFECT, "dataset.data_dir"}
    check_same_keys(path, "run", old, new, {*free, *ENDS})
    if info:
        check_same_sources(path, "run", info.get("sources", {}), experiment.sources)
    check_same_keys(path, "run", old, new, free)
    if info:
        raise InputError(
            f"{path} holds the run of an earlier version, or of a config with another front of the same "
            "name; choose another --out"
        )


def _goes_on(path: Path, experiment: Experiment, info: Mapping[str, Any]) -> bool:
    """Whether the experiment is that of the run in a directory, but for its end; info: the run's run.json.

    Raises InputError where it is and the run's rounds are not the first ones of the experiment all the same.
    """
    before = ends_of(info)
    if before["rounds"] is None:
        return False
    stop = None if before["stop"] is None else Stop.model_validate(before["stop"])
    if experiment.ending(before["rounds"], stop).hash() != info["config_hash"]:
        return False
    if before["rounds"] != experiment.rounds:
        _check_rounds(path, experiment, before["rounds"])
    if stop != experiment.stop:
        _check_stop(path, experiment, info.get("scores", {}))
    return True


def _check_stop(path: Path, experiment: Experiment, scores: Mapping[str, Better]) -> None:
    watch, last = Watch(experiment, scores), 0
    for row in rows_of(path / "rounds.csv"):
        last = int(row["round"])
        if watch.ended:
            break
        watch.see(row)
    if watch.ended and not watch.ended.startswith(f"round {last}:"):
        raise InputError(
            f"{path} has more rounds than it would have had with this stop ({watch.ended}); choose another "
            "--out"
        )


def _check_rounds(path: Path, experiment: Experiment, before: int) -> None:
    """before: number of rounds that the run was planned for."""
    rounds = experiment.rounds
    if rounds < before:
        raise InputError(
            f"{path} holds a run of {counted(before, 'round')}: rounds = {rounds} would shorten it, and a "
            "run can only be extended; choose another --out"
        )
    cannot = f"{path} cannot be extended from {counted(before, 'round')} to {rounds}"
    local = experiment.local
    for number in range(1, before + 1):
        then, now = local.rate(number, before), local.rate(number, rounds)
        if then != now:
            raise InputError(
                f"{cannot}: with local.lr_schedule {local.lr_schedule.name} the learning rate depends on the "
                f"number of rounds (round {number}: {then:.4g} then, {now:.4g} now), so this is another run; "
                "choose another --out, or a schedule such as constant, step or exponential"
            )
    if experiment.coordination.overlaps:
        raise InputError(
            f"{cannot}: with coordination.name {experiment.coordination.name} the last step ends the jobs "
            "that are running, so this is another run; choose another --out"
        )
    if files := experiment.readers("n_rounds"):
        raise InputError(
            f"{cannot}: {files[0]} uses the planned number of rounds (n_rounds), so this is another run; "
            "choose another --out"
        )


def goes_on_from(round_number: int, planned: int, rounds: int, evaluation: Evaluation) -> bool:
    """Whether a run of `rounds` rounds can go on from a checkpoint of one of `planned` rounds.

    round_number: of the checkpoint. A last round that is tested for no other reason is not that of a longer
    run.
    """
    return round_number < planned or planned == rounds or evaluation.due(round_number)
