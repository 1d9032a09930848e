"""What is the same for every method of a comparison: naming another method changes the method alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from toys import toy
from variants import SOME, by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.client.settings import Overrun
from distreal_sim.config import load_experiment
from distreal_sim.config.build import build
from distreal_sim.methods import Method
from distreal_sim.methods.fedavg import FedAvg

CONFIGS = Path(__file__).parents[2] / "configs"


def without_method(config: Path, *overrides: str) -> dict[str, Any]:
    experiment, _ = load_experiment(config, overrides)
    return {key: value for key, value in experiment.resolved().items() if key != "method"}


@pytest.mark.parametrize("name", by_default(names(Method), SOME))
def test_another_method_changes_the_method_only(name: str) -> None:
    """In every key of the resolved experiments, for every bundled config and from none to every overrun."""
    configs = list(CONFIGS.glob("*.yaml"))
    assert CONFIGS / "digits.yaml" in configs
    for config in configs:
        known = without_method(config)
        assert without_method(config, f"method.name={name}") == known
        assert without_method(config, "overrun=drop", f"method.name={name}") == {**known, "overrun": "drop"}


@pytest.mark.parametrize("name", by_default(names(Method), SOME))
def test_the_task_has_it_from_the_experiment(name: str) -> None:
    """What becomes of late clients, and how their updates are weighed, is not the method's to say."""
    for overrun in ("drop", "partial", "wait"):
        task = build(toy(method=name, overrun=overrun, merge={"weight": "macs"}))
        assert (task.overrun, task.merge.weighs_by) == (overrun, "macs")
    task = build(toy(method=name))
    assert (task.overrun, task.merge.weighs_by) == ("partial", "examples")


class Impatient(FedAvg):
    """A method that can do nothing with a part of a round."""

    overruns: ClassVar[tuple[Overrun, ...]] = ("drop", "wait")


def test_a_method_that_cannot_says_so() -> None:
    assert toy(method=Impatient(), overrun="wait").overrun == "wait"
    with pytest.raises(
        InputError, match=r"overrun = 'partial' must be drop or wait with method\.name .*Impatient"
    ):
        toy(method=Impatient())
