"""A run ends early and keeps its best model, as its tests say; cut short or extended, it does the same."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command import distreal_sim
from safetensors.numpy import load_file
from toys import TOY, toy

import distreal_sim as ds
from distreal_sim.config.watched import Best
from distreal_sim.recipe.metrics import Better
from distreal_sim.simulation.watch import Peak, Watch, goal_of

from .compare import assert_same_results

MOST_MACS = {"metric": "macs", "goal": "max"}

WATCHED = {"stop": {**MOST_MACS, "patience": 1}, "best": MOST_MACS}
"""A round's MACs are the same on every processor, which losses are not."""

SCORES: dict[str, Better] = {"accuracy": "higher", "perplexity": "lower", "loss": "lower"}

CONFIG: dict[str, Any] = {**TOY, "method": "fedavg", "rounds": 12}


def rows(values: list[float | None], metric: str = "test_accuracy") -> list[dict[str, Any]]:
    return [{"round": number, metric: value} for number, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("stop", "values", "last", "why"),
    [
        ({"patience": 2}, [0.1, 0.3, 0.2, 0.3, 0.9], 4, "2 tests without a better test_accuracy than .*2"),
        ({"patience": 2}, [0.1, 0.3, 0.2, 0.4, 0.3], 0, ""),
        ({"patience": 2, "min_delta": 0.1}, [0.1, 0.15, 0.19], 3, "2 tests without a .* than 0.1 of round 1"),
        ({"patience": 2, "after": 5}, [0.3, 0.2, 0.2, 0.2, 0.2, 0.4], 5, "2 tests .* than 0.3 of round 1"),
        ({"patience": 1}, [None, 0.3, None, 0.2], 4, "1 test without a better .* than 0.3 of round 2"),
        ({"target": 0.5}, [0.1, 0.5, 0.1], 2, "test_accuracy reached 0.5"),
        ({"target": 0.5, "goal": "min"}, [0.9, 0.6, 0.4], 3, "test_accuracy reached 0.4"),
        ({"patience": 2}, [math.nan, math.nan, 0.1], 2, "2 tests without a better .* than a number"),
    ],
)  # fmt: skip
def test_when_a_run_ends(stop: dict[str, Any], values: list[float | None], last: int, why: str) -> None:
    """Equal is not better, nor is 0.19 by more than 0.1 than 0.1; rounds without a test do not count."""
    watch = Watch(toy(stop=stop, rounds=9), SCORES, rows(values))
    if not last:
        assert watch.ended is None
    else:
        assert re.fullmatch(f"round {last}: {why}", watch.ended or "")


@pytest.mark.parametrize(
    ("metric", "goal"),
    [
        ("test_accuracy", "max"),
        ("test_perplexity", "min"),
        ("submodel_perplexity", "min"),
        ("clients_perplexity_worst", "min"),
        ("clients_accuracy_slow", "max"),
        ("train_loss", "min"),
        ("macs", None),
    ],
)
def test_the_metric_says_what_is_better(metric: str, goal: str | None) -> None:
    assert goal_of(Best(metric=metric), SCORES) == goal
    assert goal_of(Best(metric=metric, goal="max"), SCORES) == "max"


COSTS = [{"sim_s": 10.0 * n, "energy_j": e, "macs": 5} for n, e in enumerate([3.0, None, 4.0, 1.0], 1)]


@pytest.mark.parametrize(
    ("stop", "last", "why"),
    [
        ({"budget": {"energy_j": 7}}, 3, "energy_j reached 7, its budget is 7"),
        ({"budget": {"energy_j": 7.5}}, 4, "energy_j reached 8, its budget is 7.5"),
        ({"budget": {"energy_j": 9}}, 0, ""),
        ({"budget": {"sim_s": 15, "macs": 12}}, 2, "sim_s reached 20, its budget is 15"),
        ({"budget": {"macs": 10}, "after": 4}, 4, "macs reached 20, its budget is 10"),
        ({"budget": {"macs": 15}, "target": 0.5}, 3, "macs reached 15, its budget is 15"),
        ({"budget": {"macs": 100}, "target": 0.5}, 4, "test_accuracy reached 0.6"),
    ],
)  # fmt: skip
def test_when_a_budget_is_spent(stop: dict[str, Any], last: int, why: str) -> None:
    """3, 3, 7 and 8 J; 10 to 40 s; 5 to 20 MACs. Rounds count that are not tested, as all but the last."""
    energy = {"name": "per_mac", "joules_per_mac": 1}
    experiment = toy(stop=stop, rounds=9, energy=energy, evaluation={"every": 4})
    tested = [row | {"round": n, "test_accuracy": 0.6 if n == 4 else None} for n, row in enumerate(COSTS, 1)]
    assert Watch(experiment, SCORES, tested).ended == (f"round {last}: {why}" if last else None)


def test_a_run_ends_when_its_joules_are_spent(tmp_path: Path) -> None:
    """Found in the tables of the longer run: of 2.5 rounds' joules the third round spends the last. Without
    training it ends there, too, and so does a run that is cut short.
    """
    energy = {"name": "per_mac", "joules_per_mac": 1e-6}
    config = {**CONFIG, "rounds": 5, "energy": energy, "evaluation": {"every": 9}}
    long = ds.run(config, tmp_path / "long", training=False)
    joules = long.rounds["energy_j"]
    limit = float(joules[0] + joules[1] + joules[2] / 2)
    ending = {**config, "stop": {"budget": {"energy_j": limit}}}
    runs = [ds.run(ending, tmp_path / "trained", grid="serial")]
    runs.append(ds.run(ending, tmp_path / "timed", training=False))
    with pytest.raises(KeyboardInterrupt):
        ds.run(ending, tmp_path / "cut", grid="serial", callbacks=[interrupt])
    runs.append(ds.run(ending, tmp_path / "cut", grid="serial", resume=True))
    for run in runs:
        assert run.rounds["energy_j"].tolist() == joules[:3].tolist()
        assert (run.stopped_early or "").startswith("round 3: energy_j reached ")
    with pytest.raises(ds.InputError, match=r"stop\.budget\.energy_j needs an energy model"):
        toy(stop={"budget": {"energy_j": 1}})
    with pytest.raises(ds.InputError, match="give patience, target or budget"):
        toy(stop={})


def interrupt(row: Any) -> None:
    if row.round == 2:
        raise KeyboardInterrupt


def test_only_tests_on_schedule_count() -> None:
    """With a test every two rounds, rounds 2, 4 and 6: 0.3, 0.2, 0.1."""
    experiment = toy(stop={"patience": 2}, best={}, rounds=9, evaluation={"every": 2})
    watch = Watch(experiment, SCORES, rows([0.9, 0.3, 0.9, 0.2, 0.9, 0.1]))
    assert watch.ended is not None
    assert watch.ended.startswith("round 6:")
    assert watch.notes()["best"] == {"round": 2, "test_accuracy": 0.3}


def test_the_first_of_equal_values_is_the_best() -> None:
    peak = Peak("test_loss", "min")
    seen = [peak.see(row) for row in rows([math.nan, 0.5, 0.4, 0.4, None, 0.3, math.nan], "test_loss")]
    assert seen == [False, True, True, False, False, True, False]
    assert (peak.round, peak.value, peak.n_since) == (6, 0.3, 1)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> ds.Run:
    """The same run without an early end."""
    return ds.run({**CONFIG, "best": MOST_MACS}, tmp_path_factory.mktemp("long") / "out", grid="serial")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> ds.Run:
    """The run that ends with the first round whose MACs are not the most yet."""
    return ds.run({**CONFIG, **WATCHED}, tmp_path_factory.mktemp("short") / "out", grid="serial")


def test_the_run_ends_with_the_first_value_that_is_no_new_high(long: ds.Run, short: ds.Run) -> None:
    """Found in the table of the run that goes on; up to there both have the same rows."""
    macs = long.rounds["macs"].to_numpy()
    last = 1 + next(n for n in range(1, len(macs)) if macs[n] <= macs[:n].max())
    assert last < 12
    assert len(short.rounds) == last
    assert short.rounds.equals(long.rounds.iloc[:last])
    info = json.loads((short.path / "run.json").read_text())
    most = macs[last - 2]
    assert info["status"] == "finished"
    assert info["stopped_early"] == (
        f"round {last}: 1 test without a better macs than {most:.6g} of round {last - 1}"
    )
    assert info["best"] == {"round": last - 1, "macs": most}
    assert short.stopped_early == info["stopped_early"]
    assert long.stopped_early is None


def test_the_best_model_is_that_of_its_round(long: ds.Run, tmp_path: Path) -> None:
    """A run that is as long as the best round ends with the same model."""
    best = int(long.rounds["macs"].idxmax()) + 1
    assert long.best_round == best
    other = ds.run({**CONFIG, "rounds": best}, tmp_path / "out", grid="serial")
    same = load_file(other.path / "model.safetensors")
    mine = load_file(long.path / "best.safetensors")
    assert mine.keys() == same.keys()
    assert all(np.array_equal(mine[name], same[name]) for name in same)
    for name, value in long.model("best").state_dict().items():
        assert np.array_equal(value.numpy(), same[name])
    with pytest.raises(ds.InputError, match="holds no best model; a config with `best` keeps one"):
        other.model("best")
    assert other.best_round is None


def test_cut_short_it_ends_in_the_same_round(short: ds.Run, tmp_path: Path) -> None:
    """A callback stops it after every round; the last one ends it for good."""
    for n_rounds in range(1, len(short.rounds) + 1):
        stopped = [lambda row: row.round == n_rounds]  # noqa: B023  (called in this turn of the loop)
        ds.run({**CONFIG, **WATCHED}, tmp_path, grid="serial", resume=tmp_path.exists(), callbacks=stopped)
    assert_same_results(tmp_path, short.path)
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "finished"


def test_more_rounds_do_not_undo_an_early_end(short: ds.Run, tmp_path: Path) -> None:
    ds.run({**CONFIG, **WATCHED}, tmp_path, grid="serial")
    longer = ds.run({**CONFIG, **WATCHED, "rounds": 20}, tmp_path, grid="serial", resume=True)
    assert longer.rounds.equals(short.rounds)
    assert longer.config["rounds"] == 20
    assert longer.stopped_early == short.stopped_early


def test_more_patience_does(long: ds.Run, short: ds.Run, tmp_path: Path) -> None:
    """The run goes on to its last round. It could not have ended before the rounds that it has."""
    ds.run({**CONFIG, **WATCHED}, tmp_path, grid="serial")
    patient = {**CONFIG, **WATCHED, "stop": {**MOST_MACS, "patience": 12}}
    whole = ds.run(patient, tmp_path, grid="serial", resume=True)
    assert whole.rounds.equals(long.rounds)
    assert whole.stopped_early is None
    assert (whole.path / "best.safetensors").read_bytes() == (long.path / "best.safetensors").read_bytes()
    with pytest.raises(ds.InputError, match=r"has more rounds than it would have had with this stop \(round"):
        ds.run({**CONFIG, **WATCHED}, tmp_path, grid="serial", resume=True)


ASYNCHRONOUS: dict[str, Any] = {
    **CONFIG,
    "coordination": {"name": "fedbuff", "buffer": 2},
    "method": {"name": "misbehaving.Remembering"},
    "best": MOST_MACS,
}
"""Jobs of several models are on their way at any time; its clients remember."""


def test_without_rounds_a_run_ends_early_as_well(tmp_path: Path) -> None:
    """At the time of step 5. Its rows are those of a run that goes on; the jobs that are running then are in
    no table. Cut short after every step, it is the same run. Without `stop` it goes on with them: the bytes
    of a run that never had one.
    """
    whole = ds.run(ASYNCHRONOUS, tmp_path / "whole", grid="serial", verify=True)
    times = whole.rounds["sim_s"].to_numpy()
    stops = {**ASYNCHRONOUS, "stop": {"metric": "sim_s", "goal": "max", "target": float(times[4])}}
    done = ds.run(stops, tmp_path / "out", grid="serial", verify=True)
    last = 1 + int(np.argmax(times >= times[4]))
    assert 1 < last <= 5
    assert done.rounds.equals(whole.rounds.iloc[:last])
    assert done.clients.equals(whole.clients[whole.clients["round"] <= last].reset_index(drop=True))
    assert done.clients["cancelled"].sum() == 0
    best = 1 + int(np.argmax(done.rounds["macs"]))
    assert json.loads((done.path / "run.json").read_text())["best"]["round"] == done.best_round == best
    cut = tmp_path / "cut"
    for n_steps in range(1, last + 1):
        stopped = [lambda row: row.round == n_steps]  # noqa: B023  (called in this turn of the loop)
        ds.run(stops, cut, grid="serial", resume=cut.exists(), callbacks=stopped)
    assert_same_results(cut, done.path)
    assert (cut / "best.safetensors").read_bytes() == (done.path / "best.safetensors").read_bytes()
    ds.run(ASYNCHRONOUS, tmp_path / "out", grid="serial", resume=True)
    assert_same_results(tmp_path / "out", whole.path)
    assert (tmp_path / "out" / "best.safetensors").read_bytes() == (
        whole.path / "best.safetensors"
    ).read_bytes()


def test_the_table_and_the_command_say_so(short: ds.Run) -> None:
    table = ds.table(short.path)
    assert list(table["stopped_early"]) == [1]
    done = distreal_sim("table", short.path)
    assert "stopped early" in done.stdout
    assert "1 of 1" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stop.metric=test_acuracy", "stop.patience=3"], r"stop.metric = 'test_acuracy' is no column of "
         r"rounds.csv; did you mean 'test_accuracy'\? \(valid: sim_s, test_accuracy, "),
        (["stop.metric=macs", "stop.patience=3"], r"stop.goal is missing: give max or min, .* 'macs'"),
        (["stop.min_delta=0.1"], "stop: give patience, target or budget, or several of them"),
        (["stop.pateince=3"], r"unknown key 'stop.pateince' = 3; did you mean 'stop.patience'\?"),
        (["best.goal=high"], "best.goal = 'high' must be max or min"),
        (["best.metric=test_loss", "evaluation.every=9"], r"best looks at the tests on schedule, .* "
         r"evaluation.every \(9\) must not exceed rounds \(4\)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["run", "check"])
def test_mistakes(command: str, words: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY))
    more = ("--out", tmp_path / "out") if command == "run" else ()
    done = distreal_sim(command, tmp_path / "toy.yaml", *words, *more)
    assert done.code == 2
    assert re.search(message, done.stderr), done.stderr
