"""The figure of a front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.results.plots.front import front, front_file
from distreal_sim.results.runs import Run
from distreal_sim.results.show import front_of, plot

from .conftest import FRONT

FRESH = {
    "entries": [
        {"relative_macs": 0.3, "score": 0.3, "score_error": 0.05},
        {"relative_macs": 0.8, "score": 0.5, "score_error": 0.1},
        {"relative_macs": 1.0, "score": 0.5, "score_error": 0.01},
    ],
    "uniform_entries": [
        {"relative_macs": 0.25, "score": 0.2, "score_error": 0.0},
        {"relative_macs": 1.0, "score": 0.5, "score_error": 0.01},
    ],
}


def drawn(tmp_path: Path, shown: Front) -> Figure:
    shown.save(tmp_path / "front.json")
    return front_file(tmp_path / "front.json")


def points(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """Markers of each line in the upper axes, by label."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    lines = [handle.lines[0] for handle in handles]
    return {
        label: list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True))
        for label, line in zip(labels, lines, strict=True)
    }


def test_scores_are_relative(tmp_path: Path) -> None:
    """MACs to 1000, scores to 0.8."""
    found = points(drawn(tmp_path, FRONT))
    assert list(found) == ["front"]
    assert np.array(found["front"]) == pytest.approx(np.array([[0.3, 0.5], [0.8, 0.875], [1.0, 1.0]]))


def test_fresh_seeds_beside_uniform_rates(tmp_path: Path) -> None:
    """Scores on fresh seeds are relative to the zero vector's there, 0.5; error bars too."""
    figure = drawn(tmp_path, replace(FRONT, made={"reevaluation": FRESH}))
    found = points(figure)
    assert found["uniform rates"] == [(0.25, 0.4), (1.0, 1.0)]
    assert found["front, fresh seeds"] == [(0.3, 0.6), (0.8, 1.0), (1.0, 1.0)]
    assert found["as the search saw it"][0] == pytest.approx((0.3, 0.5))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    bars: Any = handles[labels.index("front, fresh seeds")].lines[2][0]
    assert bars.get_segments()[0] == pytest.approx(np.array([[0.3, 0.5], [0.3, 0.7]]))


def test_measured_by_another_score(tmp_path: Path) -> None:
    """What a search by another score saw, or the MACs of uniform rates, is not drawn on the same axis."""
    fleet, central = ({"search": {"score": score}} for score in ("federated", "central"))
    made = {"reevaluation": FRESH, "measured": fleet}
    for own, drawn_too in ((central, False), ({}, False), (fleet, True)):
        found = points(drawn(tmp_path, replace(FRONT, made={**made, **own})))
        assert ("as the search saw it" in found) is drawn_too


def test_no_progress_on_fresh_seeds(tmp_path: Path) -> None:
    """Nothing can be relative to it."""
    worse = [{**row, "score": -0.1} for row in FRESH["uniform_entries"]]
    made = {"reevaluation": {**FRESH, "uniform_entries": worse}}
    with pytest.raises(InputError, match="on fresh seeds the full network makes no progress"):
        drawn(tmp_path, replace(FRONT, made=made))


def test_uniform_rates_are_no_rival_of_themselves(tmp_path: Path) -> None:
    """Of a front of them only fewer full steps are drawn beside it."""
    found = points(drawn(tmp_path, replace(FRONT, made={"how": "uniform rates", "reevaluation": FRESH})))
    assert "uniform rates" not in found
    assert "front, fresh seeds" in found


def test_three_curves(tmp_path: Path) -> None:
    """Fewer full steps too, where they were measured, from no progress at no step on."""
    steps = [{"relative_macs": 0.5, "share": 0.5, "score": 0.4}, {"relative_macs": 1.0, "score": 0.5}]
    fresh = {**FRESH, "fewer_steps_entries": steps}
    found = points(drawn(tmp_path, replace(FRONT, made={"reevaluation": fresh})))
    assert list(found) == ["uniform rates", "fewer full steps", "front, fresh seeds", "as the search saw it"]
    assert found["fewer full steps"] == [(0.0, 0.0), (0.5, 0.8), (1.0, 1.0)]


def test_between_entries_of_the_full_network(tmp_path: Path) -> None:
    """0.3 and 0.8 of the full steps are entries, so between them the line follows fewer full steps, and so it
    does after 0.8; it has markers at entries only. To a thinned entry at 0.8 it rises from where fewer full
    steps are there, two thirds of the way from 0.3 at 0.6 to 0.4 at 0.9.
    """
    full = FRONT.entries[-1]
    shown = replace(
        FRONT, entries=tuple(replace(full, share=share, score=share) for share in (0.3, 0.8, 1.0))
    )
    rows = [{**row, "share": row["relative_macs"]} for row in FRESH["entries"]]
    steps = [{"relative_macs": x, "share": x, "score": y} for x, y in ((0.5, 0.45), (0.6, 0.3), (0.9, 0.4))]

    def line(first: list[dict[str, float]]) -> Any:
        fresh = {**FRESH, "entries": first, "fewer_steps_entries": [*steps, rows[-1]]}
        axes = drawn(tmp_path, replace(shown, made={"reevaluation": fresh})).axes[0]
        handles, labels = axes.get_legend_handles_labels()
        return handles[labels.index("front, fresh seeds")].lines[0]

    among_full = line(rows)
    assert list(among_full.get_xdata()) == [0.3, 0.5, 0.6, 0.8, 0.9, 1.0]
    assert among_full.get_markevery() == [0, 3, 5]
    thinned = line([rows[0], {**rows[1], "share": 1.0}, rows[2]])
    assert list(thinned.get_xdata()) == [0.3, 0.5, 0.6, 0.8, 0.8, 1.0]
    assert list(thinned.get_ydata())[3:5] == pytest.approx([(0.3 + 0.2 / 3) / 0.5, 1.0])
    assert line([{**row, "share": 1.0} for row in rows]).get_markevery() == [0, 1, 2]


def test_the_heat_map(tmp_path: Path) -> None:
    """A row for each layer, a column for each entry; at most 12 entries are labelled."""
    _, rates, _ = drawn(tmp_path, FRONT).axes
    assert np.asarray(rates.images[0].get_array()).tolist() == [[0.5, 0.0, 0.0], [0.75, 0.25, 0.0]]
    assert [label.get_text() for label in rates.get_yticklabels()] == ["conv1", "conv2"]
    assert [label.get_text() for label in rates.get_xticklabels()] == ["0.30", "0.80", "1.00"]
    many = [Entry((0.0, 0.0), (4, 8), 100 + i, 1.0 + i) for i in range(30)]
    _, rates, _ = drawn(tmp_path, replace(FRONT, entries=tuple(many))).axes
    assert len(rates.get_xticklabels()) == 10


def test_entries_for_fewer_steps(tmp_path: Path) -> None:
    """Half of the examples with the second vector cost 0.4 of the full network; diamonds mark such entries,
    among them those on fresh seeds, and the last row of the heat map shows what they leave out.
    """
    first, second, last = FRONT.entries
    shown = replace(FRONT, entries=(first, replace(second, share=0.5), last))
    figure = drawn(tmp_path, shown)
    line = figure.axes[0].get_legend_handles_labels()
    (marked,) = [h for h, label in zip(*line, strict=True) if label == "front, fewer steps"]
    assert (marked.get_marker(), marked.get_linestyle()) == ("D", "None")
    assert np.array(marked.get_xydata()) == pytest.approx(np.array([[0.4, 0.875]]))
    (whole,) = [h for h, label in zip(*line, strict=True) if label == "front"]
    assert np.array(whole.lines[0].get_xdata()) == pytest.approx([0.3, 0.4, 1.0])
    _, rates, _ = figure.axes
    assert np.asarray(rates.images[0].get_array())[2].tolist() == [0.0, 0.5, 0.0]
    assert [label.get_text() for label in rates.get_yticklabels()] == ["conv1", "conv2", "(examples)"]
    assert [label.get_text() for label in rates.get_xticklabels()] == ["0.30", "0.40", "1.00"]
    entries = [{**row, "share": share} for row, share in zip(FRESH["entries"], (0.25, 1.0, 1.0), strict=True)]
    fresh = {**FRESH, "entries": entries}
    labels = (
        drawn(tmp_path, replace(shown, made={"reevaluation": fresh})).axes[0].get_legend_handles_labels()[1]
    )
    assert {label for label in labels if label.endswith("fewer steps")} == {
        "front, fresh seeds, fewer steps",
        "as the search saw it, fewer steps",
    }


def test_runs(tmp_path: Path, write_run: Callable[..., Run]) -> None:
    """The front of those that have one; several different ones are refused."""
    fedavg, distreal = write_run("fedavg", [0.5]), write_run("distreal", [0.5])
    assert points(front([fedavg, distreal])) == points(drawn(tmp_path, FRONT))
    with pytest.raises(InputError, match="none of the runs used a front"):
        front([fedavg])
    other = write_run("distreal", [0.5], seed=2)
    replace(FRONT, model="fff").save(other.path / "front.json")
    with pytest.raises(InputError, match=r"different fronts, .*: give its file"):
        front([distreal, other])


def test_the_front_of_a_search(tmp_path: Path, write_run: Callable[..., Run]) -> None:
    """Its directory stands for the file in it; a run, which keeps its front, is a run."""
    FRONT.save(tmp_path / "front.json")
    assert front_of(tmp_path) == front_of(tmp_path / "front.json") == tmp_path / "front.json"
    assert points(plot(tmp_path)) == points(drawn(tmp_path, FRONT))
    run = write_run("distreal", [0.5])
    assert (run.path / "front.json").exists()
    assert front_of(run.path) is None
    assert front_of([tmp_path]) is None


def test_no_front(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        front_file(tmp_path / "front.json")
    worthless = tuple(replace(entry, score=0.0) for entry in FRONT.entries)
    with pytest.raises(InputError, match="score of the zero vector must be above 0"):
        drawn(tmp_path, replace(FRONT, entries=worthless))
