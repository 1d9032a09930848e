"""Runs that go on to more rounds than they were planned for."""

from __future__ import annotations

from pathlib import Path

from distreal_sim.base.errors import InputError
from distreal_sim.client.settings import Evaluation
from distreal_sim.config import Experiment


def check_extension(path: Path, experiment: Experiment, before: int) -> None:
    """Raises InputError where the first rounds of the experiment are not those of the run in a directory.

    before: number of rounds that the run was planned for.
    """
    rounds = experiment.rounds
    if rounds < before:
        raise InputError(
            f"{path} holds a run of {before} rounds: rounds = {rounds} would shorten it, and a run can only "
            "be extended; choose another --out"
        )
    cannot = f"{path} cannot be extended from {before} rounds to {rounds}"
    local = experiment.local
    for number in range(1, before + 1):
        then, now = local.rate(number, before), local.rate(number, rounds)
        if then != now:
            raise InputError(
                f"{cannot}: with local.lr_schedule {local.lr_schedule.name} the learning rate depends on the "
                f"number of rounds (round {number}: {then:.4g} then, {now:.4g} now), so this is another run; "
                "choose another --out, or a schedule such as constant, step or exponential"
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
