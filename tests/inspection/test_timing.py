"""Measuring steps: every method whose steps are described by levels, and no claim about times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from command import distreal_sim
from cost_tables import KINDS, METHODS
from toys import TOY, toy
from variants import by_default

import distreal_sim as ds
from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build
from distreal_sim.config.charges import described_levels
from distreal_sim.inspection import timing
from distreal_sim.inspection.check import make_check
from distreal_sim.inspection.timing import measured
from distreal_sim.thinning.measured.file import read_costs


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few repeats of few steps."""
    monkeypatch.setattr(timing, "REPEATS", 2)
    monkeypatch.setattr(timing, "MOST_STEPS", 1)


@pytest.mark.parametrize(
    "method",
    by_default(METHODS, [m for m in METHODS if m["name"] in KINDS]),
    ids=lambda m: "-".join(map(str, m.values())),
)
def test_a_measured_file_serves_its_experiment(method: dict[str, Any], tmp_path: Path) -> None:
    """It holds every level of the method, and the full step of the configured network, whose share is 1."""
    file = tmp_path / "cost.json"
    table = ds.measure(toy(method=method), file)
    assert read_costs(file).content == table.content
    experiment = toy(method=method, cost=str(file))
    task = build(experiment)
    assert len(table.levels) <= len(described_levels(experiment.method, task)) + 1
    assert (table.levels[0].macs_share, table.levels[0].time_share) == (1.0, 1)
    assert all(level.time_share >= timing.DIGITS for level in table.levels)
    assert all(level.low <= float(level.time_share) + 1e-4 <= level.high + 2e-4 for level in table.levels)
    assert table.made["repeats"] == 2
    assert table.made.keys() >= {"date", "processor", "cores", "threads", "versions", "models", "device"}


def test_a_level_is_measured_once_for_all_methods() -> None:
    """heterofl and federated_dropout keep their filters for a round, distreal does not."""
    plain = [toy(method={"name": name}) for name in ("heterofl", "federated_dropout", "fedavg")]
    table = measured(plain)
    assert len(table.levels) == len(ds.measure(plain[0]).levels) + sum(
        level.key not in ds.measure(plain[0]).by_key for level in ds.measure(plain[1]).levels
    )
    more = measured([toy()], table)
    assert more.levels[: len(table.levels)] == table.levels
    assert {level.key.redrawn for level in more.levels[len(table.levels) :]} == {True}
    assert measured(plain, more) is more


def test_a_method_without_levels() -> None:
    with pytest.raises(InputError, match=r"method fiarse .* not described by levels"):
        ds.measure(toy(method={"name": "fiarse"}))


def test_the_command(tmp_path: Path) -> None:
    """It prints a row for each level and writes the file, of a sweep for all methods, and `check` shows both
    shares.
    """
    config = tmp_path / "toy.yaml"
    config.write_text(yaml.safe_dump(TOY))
    sweep = {"base": "toy.yaml", "grid": {"method": ["fedavg", "heterofl", "distreal"]}, "seeds": [1, 2]}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    done = distreal_sim("measure", "sweep.yaml", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "cost.json"
    table = read_costs(tmp_path / "cost.json")
    assert done.stdout.count("│") >= len(table.levels)
    for method in ("fedavg", "heterofl", "distreal"):
        shown = distreal_sim("check", "toy.yaml", f"method={method}", "cost=cost.json", cwd=tmp_path).stdout
        assert f"cost        the time of a step, from {tmp_path / 'cost.json'}, in place of its MACs" in shown
        assert "100 % of the full MACs: 100 % of the time (quartiles 100 % to 100 %)" in shown


def test_check_measures_where_a_run_would() -> None:
    """And says that a run measures again."""
    lines = str(make_check(toy(cost="measured")))
    assert "the time of a step, measured just now (a run measures on its own machine, so" in lines
    assert "cost" not in str(make_check(toy()))
    with pytest.raises(InputError, match=r"method fiarse .* cannot have measured costs"):
        make_check(toy(cost="measured", method={"name": "fiarse"}))
