"""A scenario of the benchmark: data, split, fleet, capacity law, deadline, and the budget for tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.fronts.file import read_front

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
"""The benchmark's."""
STUDIES = HERE / "studies"
"""Further ones, which are run only where they are named."""

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""The learning rates that a grid may grow by, one at a time, where its best one stands at an edge."""


class Tuning(BaseModel):
    """How much a method may be tuned.

    lr: first grid of learning rates; seeds: not reported; validation: share of the training examples that is
    held out, and on which the choice is made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lr: tuple[float, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    validation: float = Field(gt=0, lt=1)


class Scenario(BaseModel):
    """One plan.yaml.

    name: of its folder, whose experiment.yaml has data, split, fleet, deadline and horizon. seeds: of the
    reported runs; last: evaluations whose mean is the accuracy of a run; targets: accuracies, budgets: costs
    that the tables use; baselines: methods that the others are compared with, seed by seed; conditions: by
    name the keys that change for the protocol of robustness, with condition_seeds, which are among seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seeds: tuple[int, ...] = Field(min_length=2)
    tuning: Tuning
    last: int = Field(ge=1)
    targets: tuple[float, ...]
    budgets: dict[str, float]
    baselines: tuple[str, ...]
    conditions: dict[str, dict[str, Any]] = {}
    condition_seeds: tuple[int, ...] = ()

    @property
    def experiment(self) -> Path:
        """The experiment's config."""
        return folder_of(self.name) / "experiment.yaml"


class MethodKeys(BaseModel):
    """A contestant. set: keys of the experiment; tune: keys and their values, tried with every rate."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    sets: dict[str, Any] = Field(alias="set")
    tune: dict[str, list[Any]] = {}


def names(folder: Path | None = None) -> list[str]:
    """Names of the scenarios in a folder, by default the benchmark's."""
    return sorted(path.parent.name for path in (folder or SCENARIOS).glob("*/plan.yaml"))


def folder_of(name: str) -> Path:
    """The folder of a scenario or study. Raises InputError for a name that is none."""
    for folder in (SCENARIOS, STUDIES):
        if name in names(folder):
            return folder / name
    raise unknown("scenario", name, [*names(), *names(STUDIES)])


def load(name: str) -> Scenario:
    """A scenario or study by its name. Raises InputError for a name that is none."""
    plan = yaml.safe_load((folder_of(name) / "plan.yaml").read_text())
    return Scenario.model_validate({"name": name, **plan})


def known_methods() -> dict[str, MethodKeys]:
    """The methods of methods.yaml."""
    raw = yaml.safe_load((HERE / "methods.yaml").read_text())
    return {name: MethodKeys.model_validate(keys) for name, keys in raw.items()}


def method_of(name: str, sets: dict[str, Any], tune: dict[str, list[Any]]) -> MethodKeys:
    """A method of methods.yaml or a plug-in, by name or dotted path; sets, tune: further keys. A key
    that is set is not tuned. Raises InputError for a name that is neither, and for keys that contradict.
    """
    known = known_methods()
    if name in known:
        base = known[name]
    elif "." in name:
        base = MethodKeys(sets={"method.name": name})
    else:
        raise unknown("method", name, known)
    for option, keys in (("set", sets), ("tune", tune)):
        if "local.lr" in keys:
            raise InputError(f"local.lr is tuned for every method; leave it out of --{option}")
    if twice := sorted(set(sets) & set(tune)):
        raise InputError(f"{twice[0]} is in --set and in --tune; leave it out of one of them")
    for key, values in tune.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"--tune {key}={values}: a list of values is needed, such as '{key}=[{values}]'")
    tuned = {key: values for key, values in base.tune.items() if key not in sets}
    return MethodKeys(sets={**base.sets, **sets}, tune={**tuned, **tune})


def settings_of(scenario: Scenario, keys: MethodKeys) -> dict[str, Any]:
    """What the rows of a method in this scenario are made with: its keys, those that are tuned with their
    values, and the content of its front, null where that is no file. Raises InputError where a front is none.
    """
    front = keys.sets.get("method.front")
    named = isinstance(front, str) and front != "auto"
    content = read_front(scenario.experiment.parent / str(front)).content if named else None
    return {"set": keys.sets, "tune": keys.tune, "front": content}
