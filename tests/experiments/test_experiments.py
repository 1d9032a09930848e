"""The experiments behind lab/results.md: their files load, their scripts run."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from toys import toy

from distreal_sim.run import run
from distreal_sim.sweep.cells import load_cells

ROOT = Path(__file__).parent.parent.parent
EXPERIMENTS = ROOT / "experiments"
SWEEPS = sorted(
    p
    for p in EXPERIMENTS.glob("*/*.yaml")
    if "grid" in yaml.safe_load(p.read_text()) and p.name != "plan.yaml"  # a sweep without its methods
)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_sweeps_load(path: Path) -> None:
    assert load_cells(path)[1]


@pytest.mark.parametrize(
    "path", sorted(EXPERIMENTS.rglob("*.py")), ids=lambda p: p.relative_to(EXPERIMENTS).as_posix()
)
def test_scripts_find_what_they_import(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(path.parent)
    assert runpy.run_path(str(path))["__doc__"]


def test_the_method_of_the_proxy_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of 0 leaves the uniform vectors, of which n = 1 has only the zero vector: it is FedAvg."""
    monkeypatch.syspath_prepend(EXPERIMENTS / "proxy_study")
    one = {"name": "one_vector.OneVector", "n_uniform": 1}
    models = []
    for number, method in enumerate(
        ({"name": "fedavg"}, {**one, "rates": [0.5] * 3, "share": 0.0}, {**one, "rates": [0.5] * 3})
    ):
        played = run(toy(method=method, overrun="wait", rounds=2), tmp_path / str(number), grid="serial")
        models.append((played.path / "model.safetensors").read_bytes())
    assert models[0] == models[1] != models[2]


def test_the_best_rate_of_each_method() -> None:
    """a: 0.1 with mean 0.6, inside; b: 0.1 and 0.3 are equally good, and of them the smaller is taken, below
    which b was not tried.
    """
    runs = pd.DataFrame(
        [
            *(("a", 0.03, 0.5), ("a", 0.1, 0.5), ("a", 0.1, 0.7), ("a", 0.3, 0.4)),
            *(("b", 0.1, 0.5), ("b", 0.3, 0.5)),
        ],
        columns=["method", "local.lr", "final_accuracy"],
    )
    choose = runpy.run_path(str(EXPERIMENTS / "choose.py"))
    rates = choose["choose"](runs)
    assert rates.to_dict("records") == [
        {"method": "a", "lr": 0.1, "accuracy": pytest.approx(0.6), "at_edge": False},
        {"method": "b", "lr": 0.1, "accuracy": 0.5, "at_edge": True},
    ]
    plan = {"seeds": [1], "grid": {"profile.level": [1, 2]}}
    methods = {"b": {"method.name": "fedavg"}, "a": {"method.name": "small"}}
    filled = choose["fill"](plan, methods, rates)
    assert filled["grid"] == {
        "profile.level": [1, 2],
        "method": {
            "b": {"method.name": "fedavg", "local.lr": 0.1},
            "a": {"method.name": "small", "local.lr": 0.1},
        },
    }


def test_collected_work_is_that_since_round_1(tmp_path: Path) -> None:
    """Three rounds of 5 of 10 MACs each, tested after the second and the third: 10 of 20, and 15 of 30."""
    head = "round,sim_s,test_accuracy,submodel_accuracy,macs,macs_available,n_selected,n_completed,n_partial"
    rows = [f"{r},{10 * r},{'' if r == 1 else 0.5},,5,10,4,3,1" for r in (1, 2, 3)]
    (tmp_path / "rounds.csv").write_text("\n".join([head, *rows]) + "\n")
    collect = runpy.run_path(str(EXPERIMENTS / "collect.py"))
    found = collect["evaluations"](tmp_path)
    assert found[["round", "macs", "macs_available", "n_completed"]].to_numpy().tolist() == [
        [2, 10, 20, 6],
        [3, 15, 30, 9],
    ]


@pytest.mark.parametrize("name", ["heterogeneity"])
def test_figures_are_drawn(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """figures.py draws them; here into another folder."""
    monkeypatch.setattr(sys, "path", [str(EXPERIMENTS), str(EXPERIMENTS / name), *sys.path])
    monkeypatch.delitem(sys.modules, "figures", raising=False)
    import figures

    monkeypatch.setattr(figures, "save", lambda figure, path: figure.savefig(tmp_path / path.name))
    figures.main()
    drawn = list(tmp_path.glob("*.png"))
    assert drawn
    assert all((ROOT / "lab" / "figures" / path.name).exists() for path in drawn)
