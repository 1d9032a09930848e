"""Comparisons of runs whose profile gives them different fleets are pointed out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from toys import toy
from typer.testing import CliRunner

from distreal_sim.base.text import si
from distreal_sim.cli import app
from distreal_sim.config.build import build
from distreal_sim.results.fleets import Level1, different_fleets, level_1_of
from distreal_sim.run import load_runs, run

WARNING = (
    "warning: with profile.unit=relative the fleets differ: level 1 is {} in '{}' and {} in '{}'; to "
    "compare them on one fleet, set the same MAC/s for all, for example profile.unit=macs_per_s "
    "profile.level_1_macs_per_s={}"
)


def relative(label: str, macs_per_s: float, seed: int = 1, unit: str = "relative") -> Level1:
    return Level1(label, seed, unit, macs_per_s)


def test_one_sentence_names_the_two_that_differ_most() -> None:
    """2, 10 and 5 MAC/s of seed 1; seed 2 differs less, 3 to 6."""
    runs = [
        relative("a", 5),
        relative("b", 2.0),
        relative("c", 10.0),
        relative("d", 3, 2),
        relative("e", 6, 2),
    ]
    assert different_fleets(runs) == [WARNING.format("2 MAC/s", "b", "10 MAC/s", "c", 2)]


def test_other_seeds_other_units_and_rounding_are_no_difference() -> None:
    """Other seeds deal out other data; MAC/s are the user's own; one float more is rounding."""
    same = [relative("a", 5.0), relative("b", 5.0 * (1 + 1e-12))]
    assert different_fleets(same) == different_fleets([]) == []
    assert different_fleets([*same, relative("a", 6.0, seed=2)]) == []
    assert different_fleets([*same, relative("c", 1.0, unit="macs_per_s")]) == []
    assert different_fleets([*same, relative("c", 1.0, unit="relative_own")]) != []


@pytest.fixture
def two_widths(tmp_path: Path) -> Path:
    """Runs of one round of small_cnn, 4 and 8 wide."""
    for width in (4, 8):
        model = {"name": "small_cnn", "width": width}
        experiment = toy(model=model, method="fedavg", profile="constant", rounds=1)
        run(experiment, tmp_path / "runs" / f"w{width}", grid="serial")
    return tmp_path / "runs"


def test_tables_and_figures_say_so(two_widths: Path, tmp_path: Path) -> None:
    """MACs an example are 32,736 and 120,768 (tests/cli/test_check_inspect.py); run.json knows level 1."""
    median = float(np.median(build(toy(method="fedavg")).split.sizes))
    narrow, wide = median * 32_736 / 10.0, median * 120_768 / 10.0
    assert [level_1_of(r) for r in load_runs(two_widths)] == [
        Level1("fedavg, width=4", 7, "relative", narrow),
        Level1("fedavg, width=8", 7, "relative", wide),
    ]
    shown = [si(narrow, "MAC/s"), "fedavg, width=4", si(wide, "MAC/s"), "fedavg, width=8"]
    expected = WARNING.format(*shown, repr(narrow).removesuffix(".0"))
    for command in (["table"], ["plot", "--out", str(tmp_path / "a.png")]):
        told = CliRunner().invoke(app, [*command, str(two_widths)], catch_exceptions=False)
        assert told.stderr.splitlines() == [expected]
        alone = CliRunner().invoke(app, [*command, str(two_widths / "w4")], catch_exceptions=False)
        assert alone.stderr == ""


def test_runs_on_one_fleet_and_runs_that_do_not_say(two_widths: Path) -> None:
    """With the number of the warning level 1 is the same; without run.json nothing is known."""
    info = json.loads((two_widths / "w4" / "run.json").read_text())
    del info["level_1_macs_per_s"]
    (two_widths / "w4" / "run.json").write_text(json.dumps(info))
    assert [level_1_of(r) is None for r in load_runs(two_widths)] == [True, False]
    told = CliRunner().invoke(app, ["table", str(two_widths)], catch_exceptions=False)
    assert told.stderr == ""
    config = yaml.safe_load((two_widths / "w8" / "config.yaml").read_text())
    config["profile"] |= {"unit": "macs_per_s", "level_1_macs_per_s": 1e5}
    (two_widths / "w8" / "config.yaml").write_text(yaml.safe_dump(config))
    assert {own.unit for r in load_runs(two_widths) if (own := level_1_of(r)) is not None} == {"macs_per_s"}
