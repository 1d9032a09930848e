"""ds.sweep, ds.search, ds.check, ds.table, ds.names; configs with dotted keys."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from search.toy_search import write_search
from sweep.toy_sweep import write_sweep
from toys import TOY, toy

import distreal_sim as ds
from distreal_sim.base.plugins import names
from distreal_sim.client.messages import Facts
from distreal_sim.methods import Method


def test_dotted_keys_are_nested_ones() -> None:
    """Beside a short name they are its options; a key that stands twice is a mistake."""
    flat = {key: value for key, value in TOY.items() if key not in ("local", "method")}
    flat |= {f"local.{key}": value for key, value in TOY["local"].items()}
    flat |= {"method": "distreal", "method.filters": "ordered"}
    assert ds.load_experiment(flat) == toy(method={"name": "distreal", "filters": "ordered"})
    with pytest.raises(ds.InputError, match=r"config: key 'local\.lr' is given twice, with dots and nested"):
        ds.load_experiment({**TOY, "local.lr": 0.2})
    with pytest.raises(ds.InputError, match=r"rounds\.x is given beside rounds = 4, which has no keys"):
        ds.load_experiment({**TOY, "rounds.x": 1})


def test_a_mapping_is_left_as_it_was() -> None:
    before = {key: dict(value) if isinstance(value, dict) else value for key, value in TOY.items()}
    ds.load_experiment(TOY, local={"lr": 0.7})
    assert before == TOY


@pytest.mark.filterwarnings("ignore")
def test_a_sweep(tmp_path: Path) -> None:
    """Two methods with one seed: two rows, two runs, none of them before and both of them after."""
    path = write_sweep(tmp_path, grid={"method": ["fedavg", "small"]}, baseline=None)
    changes = {"seeds": [7], "rounds": 1, "local": {"lr": 0.05}}
    planned = ds.check_sweep(path, **changes)
    assert list(planned["label"]) == ["fedavg", "small"]
    assert list(planned["rounds"]) == [1, 1]
    done = ds.sweep(path, tmp_path / "out", n_workers=1, **changes)
    assert (done.n_cells, done.n_before, done.failures) == (2, 0, ())
    assert list(done.table["label"]) == [run.label for run in done.runs()] == ["fedavg", "small"]
    assert {run.config["local"]["lr"] for run in done.runs()} == {0.05}
    assert ds.sweep(path, tmp_path / "out", n_workers=1, **changes).n_before == 2
    assert list(ds.table(tmp_path / "out", targets=[0.5])["method"]) == ["fedavg", "small"]


def test_a_search(tmp_path: Path) -> None:
    result = ds.search(
        write_search(tmp_path),
        tmp_path / "out",
        n_workers=1,
        generations=1,
        experiment={"model": {"width": 3}},
    )
    assert result.path == tmp_path / "out"
    assert result.comparison.n_found == len(result.front.entries)
    assert max(result.front.entries[-1].counts) == 4 * 3


def test_a_plan_is_what_check_prints() -> None:
    """A row for each of the twelve clients; seconds are measured, all else is printed the same twice."""
    plan = ds.check(TOY, rounds=2)
    assert list(plan.clients["client_id"]) == list(range(12))
    assert (
        {"status", "macs", "upload_bytes"}
        < set(plan.clients)
        < {own.name for own in fields(Facts)} - {"metrics"}
    )
    assert list(plan.steps.columns) == ["macs_per_example", "wall_s"]
    assert str(plan).startswith("experiment  toy, seed 7")
    assert str(plan).count("\n") + 1 == len(plan.rows)


def test_all_methods_are_listed() -> None:
    assert list(ds.names("methods")) == names(Method)
    with pytest.raises(ds.InputError, match=r"unknown kind 'method'; did you mean 'methods'"):
        ds.names("method")
