"""Tables and figures of scores other than accuracy, whose lower values may be the better ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from distreal_sim.base.errors import InputError
from distreal_sim.results.compare import compare
from distreal_sim.results.directories import find_runs
from distreal_sim.results.plots._curves import name_of
from distreal_sim.results.protocols import cost, points, quality
from distreal_sim.results.runs import Run
from distreal_sim.results.show import plot, table
from distreal_sim.results.statistics import default_targets, time_to_accuracy
from distreal_sim.results.table import render

HEADER = (
    "round,sim_s,test_mae,test_r2,test_loss,train_loss,n_selected,n_completed,n_partial,n_dropped,macs,"
    "macs_available,download_bytes,upload_bytes,submodel_mae,submodel_r2,submodel_loss,n_diverged"
)


def write(path: Path, method: str, errors: list[float]) -> None:
    """A run whose round r ends at 10 r seconds with the r-th mean absolute error; R2 is 1 - error / 10."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"seed": 1, "method": {"name": method}}))
    scores = {"mae": "lower", "r2": "higher", "loss": "lower"}
    (path / "run.json").write_text(json.dumps({"scores": scores}))
    rows = [
        f"{r},{10.0 * r},{e},{1 - e / 10},{e * e},1.0,4,3,0,1,100,200,8,8,,,,0"
        for r, e in enumerate(errors, start=1)
    ]
    (path / "rounds.csv").write_text("\n".join([HEADER, *rows]) + "\n")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """FedAvg ends at an error of 3 after one of 2; small at 4."""
    write(tmp_path / "a", "fedavg", [9.0, 2.0, 3.0])
    write(tmp_path / "b", "small", [8.0, 5.0, 4.0])
    return tmp_path


def test_the_first_score_counts(two: Path) -> None:
    """mae: final 3 and 4, best 2 and 4; an error of at most 5 is reached at 20 s, of 4 at 20 s and 30 s."""
    found = table(two, targets=[5, 4]).set_index("method")
    assert found["final_mae"].tolist() == [3.0, 4.0]
    assert found["best_mae"].tolist() == [2.0, 4.0]
    assert found["sim_s_to_5"].tolist() == [20.0, 20.0]
    assert found["sim_s_to_4"].tolist() == [20.0, 30.0]
    assert default_targets(find_runs([two])) == ()


def test_another_score(two: Path) -> None:
    """R2 of 0.7 and 0.6 in the end, higher being better: 0.8 is reached by one only."""
    found = table(two, targets=[0.8], y="r2").set_index("method")
    assert found["final_r2"].tolist() == pytest.approx([0.7, 0.6])
    assert found["best_r2"].tolist() == pytest.approx([0.8, 0.6])
    assert found["reached_0.8"].tolist() == ["1 of 1", "0 of 1"]


def test_the_lowest_error_is_first(two: Path) -> None:
    found = compare(find_runs([two]), [5], "small").set_index("method")
    assert found["rank"].tolist() == [1, 2]
    assert found["difference"]["fedavg"] == -1.0


def test_protocols(two: Path) -> None:
    """Within 20 s the best errors are 2 and 5; at most 5 in two evaluations from 20 s on for both."""
    runs = find_runs([two])
    found = points(runs)
    assert list(found.columns)[-1] == "mae"
    assert quality(found, {"sim_s": 20}, lower=True)["quality"].tolist() == [2.0, 5.0]
    assert cost(found, 5, 2, lower=True)["sim_s"].tolist() == [20.0, 20.0]


def test_a_score_that_was_not_measured(two: Path) -> None:
    with pytest.raises(InputError, match=r"a: unknown score or column 'accuracy' \(valid: .*loss, .*mae, "):
        find_runs([two], y="accuracy")


def test_any_column_is_drawn(two: Path) -> None:
    """MACs of a round, 100 in each of three: their name, their unit, and the end of their line."""
    figure = plot(two, y="macs")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "MACs of a round"
    assert axes.lines[0].get_ydata().tolist() == [100.0] * 3
    assert table(two, y="train_loss").set_index("method")["final_train_loss"].tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="macs is a cost; choose a score to judge by, such as mae"):
        points(find_runs([two], y="macs"))


@pytest.mark.parametrize(
    ("column", "lower", "name"),
    [
        ("clients_mae_worst", True, "Clients' mae, worst"),
        ("clients_r2_slow", False, "Clients' r2, slow"),
        ("train_loss", True, "Train loss of a round"),
        ("submodel_r2", False, "Submodel r2 of a round"),
    ],
)
def test_a_column_of_a_score_is_as_good_as_the_score(two: Path, column: str, lower: bool, name: str) -> None:
    for path in two.glob("*/rounds.csv"):
        text = path.read_text().replace("n_diverged\n", "n_diverged,clients_mae_worst,clients_r2_slow\n")
        path.write_text(text.replace(",,,,0\n", ",0,0,0,0,9,0.1\n"))
    runs = find_runs([two], y=column)
    assert [run.lower for run in runs] == [lower] * 2
    assert name_of(runs) == name


def test_text_and_figure(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names stand in the table and on the axis; errors beyond 1 are in sight."""
    render(time_to_accuracy(find_runs([two]), [5]))
    said = " ".join(capsys.readouterr().out.split())
    assert "final mae" in said
    assert "3.0000" in said
    figure = plot(two)
    (axes,) = figure.axes
    assert axes.get_ylabel() == "Test mae"
    low, high = axes.get_ylim()
    assert low <= 2.0
    assert high >= 9.0


def test_without_run_json_only_the_loss_is_lower(two: Path) -> None:
    for path in two.glob("*/run.json"):
        path.unlink()
    runs: list[Run] = find_runs([two], y="loss")
    assert all(run.lower for run in runs)
    assert runs[0].final() == 9.0
