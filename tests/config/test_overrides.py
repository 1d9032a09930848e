"""KEY=VALUE overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.config import Experiment, load_experiment
from distreal_sim.devices.profiles.markov import Markov
from distreal_sim.devices.profiles.tiers import Tiers
from distreal_sim.fronts.option import UniformFront
from distreal_sim.methods.distreal import Distreal
from distreal_sim.methods.fednova import FedNova

CONFIG = """
rounds: 3
deadline_s: 1.0
n_clients: 4
clients_per_round: 2
dataset: digits
partition: iid
model: {name: small_cnn}
local: {epochs: 1, lr: 0.5}
profile: {name: markov, levels: [0.5, 1.0], shares: [0.25, 0.75], rate_spread: 2, unit: macs_per_s}
method: {name: distreal, front: {uniform: 4}, drop_linear: true}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(CONFIG)
    return path


def load(config: Path, *overrides: str) -> Experiment:
    experiment, notes = load_experiment(config, overrides)
    assert notes == []
    return experiment


def test_values_are_yaml(config: Path) -> None:
    overrides = (
        "rounds=7",
        "local.lr=1e-3",
        "profile.levels=[0, .inf]",
        "method.front={uniform: 9}",
        "seed=12",
    )
    experiment = load(config, *overrides)
    assert (experiment.rounds, experiment.seed, experiment.local.lr) == (7, 12, 0.001)
    assert isinstance(experiment.profile, Markov)
    assert experiment.profile.levels == (0.0, float("inf"))
    assert isinstance(experiment.method, Distreal)
    assert experiment.method.front == UniformFront(uniform=9)
    assert load(config, "method.front.uniform=9").method == experiment.method


def test_keys_that_the_file_lacks_are_added(config: Path) -> None:
    experiment = load(config, "evaluation.every=4", "partition.name=dirichlet", "partition.alpha=0.3")
    assert experiment.evaluation.every == 4
    assert experiment.partition.name == "dirichlet"


def test_a_short_form_in_the_file_takes_options(config: Path) -> None:
    """`dataset: digits` and dataset.validation=0.2 together mean {name: digits, validation: 0.2}."""
    assert load(config, "dataset.validation=0.2").dataset.validation == 0.2


def test_the_last_one_wins(config: Path) -> None:
    assert load(config, "rounds=7", "rounds=8").rounds == 8


@pytest.mark.parametrize("key", ["method.name", "method"])
def test_another_plugin_keeps_what_both_know(config: Path, key: str) -> None:
    """FedProx and FedNova have `mu`; the file's front and drop_linear are DISTREAL's, and go with it."""
    assert load(config, f"{key}=fedprox", "method.mu=0.5", f"{key}=fednova").method == FedNova(mu=0.5)


def test_another_profile_keeps_levels_shares_and_unit(config: Path) -> None:
    profile = load(config, "profile=tiers").profile
    assert profile == Tiers(levels=(0.5, 1.0), shares=(0.25, 0.75), unit="macs_per_s")


@pytest.mark.parametrize(
    ("earlier", "removed"),
    [
        ("method.drop_linear=true", "method.drop_linear=True"),
        ("method.front.uniform=9", "method.front={'uniform': 9}"),
        ("method={name: distreal, drop_linear: true}", "method.drop_linear=True"),
    ],
)
def test_an_override_that_a_later_name_removes_is_reported(config: Path, earlier: str, removed: str) -> None:
    """Whatever else the file's DISTREAL had goes without a word."""
    experiment, notes = load_experiment(config, [earlier, "method=fedavg"])
    assert experiment == load(config, "method=fedavg")
    assert notes == [f"{removed} removed: method fedavg has no such option"]


def test_a_name_given_before_is_no_option(config: Path) -> None:
    """FedNova takes `mu` over from the file's FedProx, and FedAvg has none; the user typed names only."""
    config.write_text(CONFIG.replace(CONFIG.splitlines()[-1], "method: {name: fedprox, mu: 0.5}"))
    assert load(config, "method=fednova", "method=fedavg") == load(config, "method=fedavg")


def test_the_same_plugin_leaves_nothing_behind(config: Path) -> None:
    assert load(config, "method=distreal") == load(config)


def test_an_option_given_after_the_name_is_checked(config: Path) -> None:
    """Left behind is what the file had; what is typed must be right."""
    with pytest.raises(InputError, match=r"unknown key 'method\.front' = 3"):
        load_experiment(config, ["method.name=fedavg", "method.front=3"])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("rounds", "override 'rounds' must look like KEY=VALUE, for example method.name=fedavg"),
        ("=3", "override '=3' must look like KEY=VALUE, for example method.name=fedavg"),
        ("local..lr=3", "override 'local..lr=3' must look like KEY=VALUE, for example method.name=fedavg"),
        ("rounds=[1, 2", "override 'rounds=[1, 2': the value is not YAML (an open quote or bracket?)"),
        ("rounds.x=3", "override 'rounds.x=3': rounds is 3, which has no keys below it"),
        ("local.lr.x=3", "override 'local.lr.x=3': local.lr is 0.5, which has no keys below it"),
    ],
)
def test_malformed(config: Path, override: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_experiment(config, [override])
    assert str(caught.value) == expected


def test_a_mistake_in_an_override_names_it(config: Path) -> None:
    """The file is right, so the message shows what was added to it."""
    with pytest.raises(InputError) as caught:
        load_experiment(config, ["seed=2", "rounds=-1"])
    assert str(caught.value) == (
        f"{config} with seed=2 rounds=-1: rounds = -1 must be at least 1 (number of rounds)"
    )
    with pytest.raises(InputError, match=r"method\.name: unknown method 'fedavgg'; did you mean 'fedavg'\?"):
        load_experiment(config, ["method.name=fedavgg"])
