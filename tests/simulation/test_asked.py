"""A method's functions that return a wrong value or raise: `check` and `run` name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import toy

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.inspection.estimate import forecast
from distreal_sim.methods import Method
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.run import run
from distreal_sim.simulation.clock.rounds import known_levels


class ReturnsNothing(FedAvg):
    """Forgets to return its update."""

    def train(self, *arguments: Any) -> Any:
        super().train(*arguments)


class ReturnsArrays(FedAvg):
    """Returns the arrays alone."""

    def train(self, *arguments: Any) -> Any:
        return super().train(*arguments).arrays


@pytest.mark.parametrize(("method", "what"), [(ReturnsNothing, "None"), (ReturnsArrays, "dict")])
def test_a_train_that_gives_no_update_is_named(method: type[FedAvg], what: str, tmp_path: Path) -> None:
    experiment = toy(rounds=1, method=method())
    says = rf"train\(\) of method .*{method.__name__} must return an Update.*, not {what}"
    with pytest.raises(InputError, match=says):
        forecast(experiment, build(experiment), [0, 1])
    with pytest.raises(RunError, match=rf"client \d+, round 1, while training.*{says}"):
        run(experiment, tmp_path / "out", grid="serial")


class Idle(Method):
    """Says nothing of what its clients train."""

    def levels(self, task: Task) -> None:
        return None


class Wrong(Method):
    """Gives the channels in place of levels."""

    def levels(self, task: Task) -> Any:
        return task.full


def test_a_method_without_levels_is_named() -> None:
    experiment = toy(method=Idle())
    with pytest.raises(InputError, match=r"levels\(\) of method .*Idle must return levels of .*, not None"):
        forecast(experiment, build(experiment), [0, 1])


def test_levels_of_another_type_are_named() -> None:
    experiment = toy(method=Wrong())
    message = r"levels\(\) of method .*Wrong must return Always, PerRound or PerStep of .*, not tuple"
    with pytest.raises(InputError, match=message):
        known_levels(experiment.method, build(experiment))


def test_a_method_that_says_nothing_is_refused_at_load() -> None:
    class Empty(Method):
        pass

    with pytest.raises(InputError, match=r"Empty must have one of levels, own_levels and train"):
        toy(method=Empty())


@pytest.mark.parametrize(
    ("hook", "given", "wanted", "what"),
    [
        ("plan", None, "a list of Jobs", "None"),
        ("plan", [1], "a list of Jobs", "int"),
        ("merge", None, "a State", "None"),
        ("merge", {}, "a State", "dict"),
        ("start", None, "a State", "None"),
    ],
)
def test_what_a_method_gives_back_on_the_server_is_named(
    hook: str, given: Any, wanted: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FedAvg, hook, lambda *arguments: given)
    experiment = toy(rounds=1, method={"name": "fedavg"})
    says = rf"^{hook}\(\) of method fedavg must return {wanted}.*, not {what}$"
    with pytest.raises(InputError, match=says):
        run(experiment, tmp_path / "out", grid="serial")
    if hook != "merge":
        with pytest.raises(InputError, match=says):
            forecast(experiment, build(experiment), [0, 1])


@pytest.mark.parametrize("hook", ["plan", "merge", "start"])
def test_what_a_method_raises_on_the_server_is_named(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise LookupError("no idea")

    monkeypatch.setattr(FedAvg, hook, fail)
    when = {"plan": "planning round 1", "merge": "merging round 1", "start": "before round 1"}[hook]
    with pytest.raises(InputError, match=rf"^method fedavg, {when}, fails with LookupError: no idea$"):
        run(toy(rounds=1, method={"name": "fedavg"}), tmp_path / "out", grid="serial")
