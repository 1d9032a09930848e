"""`cost: measured` in runs and sweeps: one measurement holds for the whole run, wherever it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from cost_tables import file_of, table_of
from runs.compare import assert_same_results
from toys import TOY, toy

import distreal_sim as ds
from distreal_sim.base.errors import InputError, RunError
from distreal_sim.config import Experiment
from distreal_sim.inspection import timing
from distreal_sim.run import run
from distreal_sim.submodels.levels import Level
from distreal_sim.sweep import costs as of_sweeps
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.preview import check_sweep
from distreal_sim.sweep.run import run_sweep
from distreal_sim.thinning.measured.file import read_costs
from distreal_sim.thinning.measured.table import CostTable

Measured = Callable[..., CostTable]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """In place of measurements tables that differ from call to call; how many levels were asked for."""
    numbers, asked = count(1), list[int]()

    def measured(experiments: list[Experiment], known: CostTable | None = None) -> CostTable:
        share = Decimal("0.01") * next(numbers)

        def share_of(level: Level, full_macs: int) -> Decimal:
            return Decimal(1) if level.macs_per_example == full_macs else share

        table = known
        for experiment in experiments:
            own = table_of(experiment, share_of)
            table = own if table is None else table.joined(own)
        assert table is not None
        asked.append(len(table.levels) - (0 if known is None else len(known.levels)))
        return table

    monkeypatch.setattr(timing, "measured", measured)
    monkeypatch.setattr(of_sweeps, "measured", measured)
    return asked


class Stop:
    """Ends a run after its second round."""

    def __call__(self, row: Any) -> None:
        if row.round == 2:
            raise ds.StopRun("enough")


def test_a_resumed_run_goes_on_with_its_own_measurement(calls: list[int], tmp_path: Path) -> None:
    """The same bytes as those of a run that is given the file; another measurement would give others."""
    experiment = toy(cost="measured")
    run(experiment, tmp_path / "cut", grid="serial", callbacks=[Stop()])
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["cost"]
    kept = (tmp_path / "cut" / "cost.json").read_bytes()
    run(experiment, tmp_path / "cut", grid="serial", resume=True)
    assert len(calls) == 1
    assert (tmp_path / "cut" / "cost.json").read_bytes() == kept
    run(toy(cost=str(tmp_path / "cut" / "cost.json")), tmp_path / "given", grid="serial")
    other = run(experiment, tmp_path / "other", grid="serial")
    assert len(calls) == 2
    cut, given = (tmp_path / name for name in ("cut", "given"))
    for name in ("rounds.csv", "model.safetensors", "cost.json"):
        assert (cut / name).read_bytes() == (given / name).read_bytes()
    assert (other.path / "rounds.csv").read_bytes() != (cut / "rounds.csv").read_bytes()
    assert ds.load_runs(cut)[0].model() is not None


@pytest.mark.parametrize("gone", [True, False])
def test_a_run_whose_measurement_is_another_is_not_resumed(
    gone: bool, calls: list[int], tmp_path: Path
) -> None:
    run(toy(cost="measured"), tmp_path, grid="serial", callbacks=[Stop()])
    text = (tmp_path / "cost.json").read_text()
    (tmp_path / "cost.json").unlink()
    if not gone:
        (tmp_path / "cost.json").write_text(text.replace('"time_share": 0.01', '"time_share": 0.02'))
    message = "no such file" if gone else "is not what the run began with"
    with pytest.raises(InputError, match=message):
        run(toy(cost="measured"), tmp_path, grid="serial", resume=True)


def test_a_run_that_finishes_no_round_leaves_nothing(calls: list[int], tmp_path: Path) -> None:
    """Whether its method cannot have measured costs, or a client fails after they were written."""
    with pytest.raises(InputError, match="method fiarse"):
        run(toy(cost="measured", method={"name": "fiarse"}), tmp_path / "refused", grid="serial")
    with pytest.raises(RunError, match="infinite or not a number"):
        run(toy(cost="measured", local={**TOY["local"], "lr": 1e30}), tmp_path / "failed", grid="serial")
    for name in ("refused", "failed"):
        assert [path.name for path in (tmp_path / name).iterdir()] == [".lock"]


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_ray_gives_what_serial_gives(tmp_path: Path) -> None:
    def share_of(level: Level, full_macs: int) -> Decimal:
        return Decimal(1) if level.macs_per_example == full_macs else Decimal("0.3")

    file = file_of(tmp_path / "cost.json", toy(), share_of)
    run(toy(cost=str(file)), tmp_path / "serial", grid="serial")
    run(toy(cost=str(file)), tmp_path / "ray", grid="ray", n_workers=2)
    assert_same_results(tmp_path / "serial", tmp_path / "ray")


def write_sweep(folder: Path, methods: list[str]) -> Path:
    (folder / "toy.yaml").write_text(yaml.safe_dump({**TOY, "rounds": 2, "cost": "measured"}))
    sweep = {"base": "toy.yaml", "grid": {"method": methods}, "seeds": [1, 2]}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    return folder / "sweep.yaml"


def test_a_sweep_measures_once(calls: list[int], tmp_path: Path) -> None:
    """All cells have one table, which an extended sweep extends; finished cells are not run again."""
    out = tmp_path / "out"
    for methods, n_calls in ((["distreal", "fedavg"], 1), (["distreal", "fedavg", "heterofl"], 2)):
        sweep, cells, _ = load_cells(write_sweep(tmp_path, methods))
        outcome = run_sweep(sweep, cells, out, n_workers=1, warn=str)
        assert not outcome.failures
        assert len(calls) == n_calls
    assert outcome.n_before == 4
    table = read_costs(out / "cost.json")
    for cell in cells:
        own = read_costs(out / cell.hash / "cost.json")
        assert all(table.by_key[key].time_share == level.time_share for key, level in own.by_key.items())
    assert run_sweep(sweep, cells, out, n_workers=1).n_before == 6
    assert len(calls) == 2


def test_the_preview_of_a_sweep_measures_nothing(calls: list[int], tmp_path: Path) -> None:
    assert len(check_sweep(write_sweep(tmp_path, ["distreal", "fedavg"]))) == 2
    assert not calls
    with pytest.raises(InputError, match=r"cell 'fiarse.*: cost: method fiarse"):
        check_sweep(write_sweep(tmp_path, ["distreal", "fiarse"]))


def test_where_nothing_can_be_measured() -> None:
    """As in a Flower federation, whose processes know the config only."""
    with pytest.raises(
        InputError, match=r"cost: measured needs .* make a file with `distreal-sim measure CONFIG"
    ):
        _ = toy(cost="measured").costs
