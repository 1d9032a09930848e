"""The benchmark's command on a toy scenario, its tuning, and its tables."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from toys import WHOLE_TOY

from distreal_sim.config import load_experiment
from distreal_sim.fronts.file import read_front

ROOT = Path(__file__).parent.parent.parent
BENCHMARK = ROOT / "experiments" / "benchmark"
MODULES = ("benchmark", "scenario", "store", "tables", "tuning")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the command; afterwards none of its neighbours is left in sys.modules."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARK), *sys.path])
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import benchmark

    yield benchmark
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def toy_scenario(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario `toy` of two rounds, whose first grid is 0.1 alone; the folder of its results."""
    folder = tmp_path / "scenarios" / "toy"
    folder.mkdir(parents=True)
    experiment = {**WHOLE_TOY, "rounds": 2, "evaluation": {"every": 1}}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    plan = {
        "seeds": [1, 2],
        "tuning": {"lr": [0.1], "seeds": [101], "validation": 0.2},
        "last": 1,
        "targets": [0.05],
        "budgets": {"sim_s": 10},
        "baselines": ["fedavg-partial"],
        "conditions": {"still": {"profile.changes_per_round": 0}},
        "condition_seeds": [1],
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    monkeypatch.setattr(sys.modules["scenario"], "SCENARIOS", tmp_path / "scenarios")
    return tmp_path / "results" / "toy"


def words(results: Path, *more: str, command: str = "run") -> list[str]:
    folder = results.parent.parent
    return [command, *more, "--out", str(folder / "runs"), "--results", str(folder / "results")]


def test_a_strangers_method_is_placed_by_one_command(
    bench: Any, toy_scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """`fedavg-partial` and a class that is FedAvg under another name: equal rates, equal rows, difference 0.

    The chosen rate is the best of a grid that has a smaller and a larger one, or ends with RATES. Reported
    seeds are those of the plan, with two evaluations each, and none of them was used for tuning.
    """
    (tmp_path / "strangers.py").write_text(
        "from distreal_sim.methods.fedavg import FedAvg\n\n\nclass Mine(FedAvg):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert bench.main(words(toy_scenario, "fedavg-partial")) == 0
    assert bench.main(words(toy_scenario, "fedavg-partial", command="conditions")) == 0
    assert bench.main(words(toy_scenario, "strangers.Mine", "--label", "mine")) == 0
    grid = pd.read_csv(toy_scenario / "tuning.csv").set_index(["method", "lr"])["accuracy"]
    assert grid["mine"].equals(grid["fedavg-partial"])
    best, rates = grid["mine"].idxmax(), list(grid["mine"].index)
    assert min(rates) < best < max(rates) or best in (0.001, 10.0)
    rows = pd.read_csv(toy_scenario / "evaluations.csv")
    assert rows.groupby("method", sort=False)["seed"].apply(list).to_dict() == {
        "fedavg-partial": [1, 1, 2, 2],
        "mine": [1, 1, 2, 2],
    }
    mine = rows[rows["method"] == "mine"].drop(columns="method").reset_index(drop=True)
    assert mine.equals(rows[rows["method"] == "fedavg-partial"].drop(columns="method").reset_index(drop=True))
    conditions = pd.read_csv(toy_scenario / "conditions.csv")
    assert conditions["condition"].tolist() == ["nominal", "nominal", "still", "still"]
    under_none = conditions[conditions["condition"] == "nominal"].drop(columns="condition")
    assert under_none.equals(rows[(rows["method"] == "fedavg-partial") & (rows["seed"] == 1)])

    capsys.readouterr()
    assert bench.main(["table", "--results", str(toy_scenario.parent)]) == 0
    shown = capsys.readouterr().out
    finals = rows[rows["round"] == 2].groupby("method")["accuracy"].mean()
    assert f"| mine | 2 | {finals['mine']:.3f} ± " in shown
    assert "| +0.000 ± 0.000 |" in shown
    for head in ("quality under a budget: sim_s 10", "cost to 0.05, median", "robustness"):
        assert f"| {head} |" in shown


def test_conditions_of_a_method_that_was_not_run(bench: Any, toy_scenario: Path, capsys: Any) -> None:
    assert bench.main(words(toy_scenario, "fedavg-partial", command="conditions")) == 2
    shown = capsys.readouterr().err
    assert "tuning.csv has no method 'fedavg-partial': `run` comes first (there: none)" in shown


def test_two_settings_do_not_share_a_label(bench: Any, toy_scenario: Path, capsys: Any) -> None:
    """`run` and `conditions` refuse other keys than the rows under a label have, and tables stay as they are;
    `run --replace` makes the rows again, and drops those of the conditions.
    """
    assert bench.main(words(toy_scenario, "fedavg-partial")) == 0
    assert bench.main(words(toy_scenario, "fedavg-partial", command="conditions")) == 0
    before = {path.name: path.read_bytes() for path in toy_scenario.iterdir()}
    capsys.readouterr()
    for command in ("run", "conditions"):
        other = words(toy_scenario, "fedavg-partial", "--set", "local.epochs=3", command=command)
        assert bench.main(other) == 2
        shown = capsys.readouterr().err
        assert "rows of 'fedavg-partial' that were made with other settings" in shown
        assert '"local.epochs": 3' in shown
    assert bench.main(words(toy_scenario, "fedavg-partial", "--tune", "local.epochs=[1, 2]")) == 2
    assert '"local.epochs": [1, 2]' in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in toy_scenario.iterdir()} == before
    assert bench.main(words(toy_scenario, "fedavg-partial", "--set", "local.epochs=3", "--replace")) == 0
    assert not (toy_scenario / "conditions.csv").exists()
    assert (toy_scenario / "evaluations.csv").read_bytes() != before["evaluations.csv"]
    assert bench.main(words(toy_scenario, "fedavg-partial", command="conditions")) == 2
    assert bench.main(words(toy_scenario, "fedavg-partial", "--label", "another")) == 0


def test_rows_without_settings(bench: Any, toy_scenario: Path, capsys: Any) -> None:
    assert bench.main(words(toy_scenario, "fedavg-partial")) == 0
    (toy_scenario / "settings.json").unlink()
    assert bench.main(words(toy_scenario, "fedavg-partial", command="conditions")) == 2
    assert "settings.json there has no settings of it" in capsys.readouterr().err


def test_the_settings_of_a_front_are_its_content(bench: Any) -> None:
    """Two scenarios have each a `vectors.json` of their own, and a study the one of its scenario."""
    scenarios = sys.modules["scenario"]
    keys = scenarios.known_methods()["distreal"]
    of = {n: scenarios.settings_of(scenarios.load(n), keys)["front"] for n in ("c16", "digits", "c16_long")}
    assert of["c16"] == of["c16_long"] != of["digits"]


def test_the_committed_rows_have_settings(bench: Any) -> None:
    """All of them. Those under a name of methods.yaml have its keys, and their front is still there."""
    known = sys.modules["scenario"].known_methods()
    paths = [*BENCHMARK.glob("scenarios/*/*.json"), *BENCHMARK.glob("studies/*/*.json")]
    fronts = {read_front(path).content for path in paths if path.exists()}
    for folder in sorted(bench.RESULTS.iterdir()):
        stored = json.loads((folder / "settings.json").read_text())
        for table in folder.glob("*.csv"):
            assert set(pd.read_csv(table)["method"]) <= set(stored), table
        assert set(pd.read_csv(folder / "evaluations.csv")["method"]) == set(stored)
        for name, told in stored.items():
            assert name not in known or (told["set"], told["tune"]) == (known[name].sets, known[name].tune)
            assert told["front"] in {None, *fronts}, (folder.name, name)


def test_rows_of_a_method_are_replaced(bench: Any, tmp_path: Path) -> None:
    put = sys.modules["store"].put
    put(tmp_path / "t.csv", pd.DataFrame({"seed": [1, 2]}), "b")
    put(tmp_path / "t.csv", pd.DataFrame({"seed": [3]}), "a")
    put(tmp_path / "t.csv", pd.DataFrame({"seed": [4]}), "b")
    assert (tmp_path / "t.csv").read_text() == "method,seed\na,3\nb,4\n"


@pytest.mark.parametrize(
    ("first", "peak", "tried"),
    [
        ([0.03, 0.1, 0.3], 0.1, [0.03, 0.1, 0.3]),
        ([0.03, 0.1, 0.3], 1.0, [0.03, 0.1, 0.3, 1.0, 3.0]),
        ([0.03, 0.1, 0.3], 0.003, [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]),
        ([3.0], 99.0, [3.0, 10.0]),
    ],
)
def test_the_grid_grows_until_its_best_rate_is_inside(
    bench: Any, first: Sequence[float], peak: float, tried: Sequence[float]
) -> None:
    """Accuracy falls with the distance of the rate from its peak; the last grid ends where RATES ends."""
    tuning = sys.modules["tuning"]

    def measure(rates: Sequence[float]) -> pd.DataFrame:
        rows = [{"lr": lr, "tuned": "", "seed": 101, "accuracy": -abs(lr - peak)} for lr in rates]
        return pd.DataFrame(rows)

    grid = tuning.tuned(first, measure)
    assert grid["lr"].tolist() == list(tried)
    assert tuning.choose(grid).at_edge == ("lr" if peak == 99 else "")


def test_the_best_point_of_a_grid(bench: Any) -> None:
    """Width 0.5 with 0.1 has mean 0.7, all others less; 0.5 is the largest width, 0.1 is inside.

    Of equal points the one with the smaller rate is taken.
    """
    choose = sys.modules["tuning"].choose
    wide, narrow = json.dumps({"method.width": 0.5}), json.dumps({"method.width": 0.25})
    rows = [(0.1, wide, 0.6), (0.1, wide, 0.8), (0.1, narrow, 0.65), (0.03, wide, 0.1), (0.3, narrow, 0.2)]
    best = choose(pd.DataFrame(rows, columns=["lr", "tuned", "accuracy"]))
    assert (best.lr, best.tuned, best.at_edge) == (0.1, {"method.width": 0.5}, "method.width")
    assert best.accuracy == pytest.approx(0.7)
    equal = pd.DataFrame([(0.3, "", 0.5), (0.1, "", 0.5)], columns=["lr", "tuned", "accuracy"])
    assert choose(equal).lr == 0.1


def test_mistakes(bench: Any, toy_scenario: Path, capsys: Any) -> None:
    for command, message in (
        (words(toy_scenario, "fedavg-partia"), "did you mean 'fedavg-partial'"),
        (words(toy_scenario, "fedavg-partial", "--scenarios", "tox"), "unknown scenario 'tox'"),
        (
            words(toy_scenario, "fedavg-partial", "--tune", "local.lr=[1]"),
            "local.lr is tuned for every method",
        ),
        (
            words(toy_scenario, "fedavg-partial", "--tune", "local.epochs=2"),
            "--tune local.epochs=2: a list of values is needed, such as 'local.epochs=[2]'",
        ),
        (words(toy_scenario, "distreal"), "vectors.json: no such file"),
        (words(toy_scenario, "small", "--set", "local.lr=0.1"), "leave it out of --set"),
        (
            words(toy_scenario, "small", "--set", "local.epochs=1", "--tune", "local.epochs=[1, 2]"),
            "local.epochs is in --set and in --tune",
        ),
        (["table", "--results", str(toy_scenario)], "holds no evaluations.csv"),
    ):
        assert bench.main(command) == 2
        assert message in capsys.readouterr().err


def test_what_is_set_is_not_tuned(bench: Any) -> None:
    """`small` has a tuned width, which may be set; an option that is given twice adds its keys."""
    small = sys.modules["scenario"].method_of("small", {"method.width": 0.5}, {"local.epochs": [1, 2]})
    assert small.sets == {"method.name": "small", "method.width": 0.5}
    assert small.tune == {"local.epochs": [1, 2]}
    options = bench.parser().parse_args(["run", "small", "--set", "a=1", "b=2", "--set", "c=3"])
    assert options.set == ["a=1", "b=2", "c=3"]
    assert bench.parser().parse_args(["run", "small"]).set == []


def test_every_scenario_loads_with_every_method(bench: Any) -> None:
    """The keys of a method and of a condition are valid in each scenario; tuning seeds are not reported."""
    scenarios = sys.modules["scenario"]
    assert set(scenarios.names()) >= {"digits", "mnist_writers", "mnist_dirichlet", "c16"}
    for name in (*scenarios.names(), *scenarios.names(scenarios.STUDIES)):
        plan = scenarios.load(name)
        assert not set(plan.tuning.seeds) & {*plan.seeds, *plan.condition_seeds}
        assert set(plan.condition_seeds) <= set(plan.seeds)
        experiment, _ = load_experiment(plan.experiment)
        assert experiment.profile.unit == "macs_per_s"
        for keys in scenarios.known_methods().values():
            sets = {key: value[0] for key, value in keys.tune.items()} | keys.sets
            texts = [f"{key}={json.dumps(value)}" for key, value in sets.items() if key != "method.front"]
            load_experiment(plan.experiment, texts)
        for keys in plan.conditions.values():
            load_experiment(plan.experiment, [f"{key}={json.dumps(value)}" for key, value in keys.items()])


def test_data_elsewhere(bench: Any, tmp_path: Path) -> None:
    """Every path of the checkout's folder of data, in lists and within keys too, and no other key."""
    keys = bench.data_dir(tmp_path, bench.scenarios.load("phones"))
    assert keys["dataset"] == {"name": "mnist", "data_dir": str(tmp_path)}
    speeds, processors = keys["profile"]["parts"]
    assert speeds["file"] == f"{tmp_path}/traces/flhetbench/training_latency.json.gz"
    assert processors["file"] == f"{tmp_path}/traces/planetlab/20110303.tar.gz"
    assert keys["link"]["file"] == f"{tmp_path}/traces/phone_links.csv"
    assert set(keys) == {"dataset", "profile", "availability", "link"}
    assert bench.data_dir(tmp_path, bench.scenarios.load("digits")) == {}
    assert bench.data_dir(None, bench.scenarios.load("phones")) == {}


def test_fronts_are_searched_with_the_rate_that_was_tuned(bench: Any) -> None:
    """The rate that a scenario's tuning chose for `distreal-steps` is that of its search in rounds of the
    fleet, that of its front, and that with which experiments/when_thinning_pays scores fronts.
    """
    text = (BENCHMARK.parent / "when_thinning_pays" / "measure_fleet.py").read_text()
    rates = {
        name: float(lr) for name, lr in re.findall(r'^    "(\w+)": \(([\d.]+), \d+, \d+\),$', text, re.M)
    }
    for name in ("digits", "c16", "phones", "mnist_writers", "mnist_dirichlet"):
        grid = pd.read_csv(BENCHMARK / "results" / name / "tuning.csv")
        chosen = sys.modules["tuning"].choose(grid[grid["method"] == "distreal-steps"]).lr
        folder = BENCHMARK / "scenarios" / name
        made = read_front(folder / "front.json").made["search"]
        assert (
            yaml.safe_load((folder / "search.yaml").read_text())["lr"] == made["lr"] == rates[name] == chosen
        )
