"""One colour a method, and titles that fit above their panels, whatever the user's plug-ins are called."""

from __future__ import annotations

import csv
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg

from distreal_sim.base.plugins import names
from distreal_sim.methods import Method
from distreal_sim.results.directories import find_runs
from distreal_sim.results.plots._lines import _KNOWN, label_lines, method_line
from distreal_sim.results.plots.accuracy import accuracy
from distreal_sim.results.plots.participation import participation
from distreal_sim.results.runs import Run
from distreal_sim.results.sweep_table import brief, briefest

from .conftest import WriteRun

MINE = "my_lab.methods.deep.MyVeryOwnAveraging"
PROFILES = (
    "my_lab.profiles.SlowAtNightProfile levels=[0.1, 0.3, 1.0] changes_per_round=2",
    "my_lab.profiles.FastOnWeekendsAndHolidaysProfile levels=[0.1, 0.3, 1.0] changes_per_round=3",
    "markov levels=[0.1, 1.0]",
)


def test_each_method_of_the_package_has_a_colour_of_its_own() -> None:
    methods = names(Method)
    assert set(methods) <= set(_KNOWN)
    colours = [method_line(method)[0] for method in methods]
    assert len(set(colours)) == len(colours) == len(methods)
    assert method_line("distreal")[0] != method_line("ordered_distreal")[0]


def test_users_methods_have_colours_of_their_own(write_run: WriteRun) -> None:
    """Ten of them and two bundled ones: twelve colours, and a method alone has the colour that it has there,
    unless another one has taken it.
    """
    mine = [f"lab.m{n}.Method{n}" for n in range(10)]
    groups = {method: [write_run(method, [0.5])] for method in ("distreal", "fedavg", *mine)}
    lines = label_lines(groups)
    colours = {method: lines[method]["color"] for method in groups}
    assert len(set(colours.values())) == 12
    for method in ("distreal", "fedavg", min(mine)):
        assert label_lines({method: groups[method]})[method]["color"] == colours[method]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([MINE, "fedavg, low=0.1"], ["MyVeryOwnAveraging", "fedavg, low=0.1"]),
        (["a.M", "b.M", "b.N"], ["a.M", "b.M", "N"]),
        (
            ["fronts/small.json", "front=my.Front.json", "0.5"],
            ["fronts/small.json", "front=my.Front.json", "0.5"],
        ),
    ],
)
def test_classes_without_their_packages(texts: list[str], expected: list[str]) -> None:
    """Where two would read the same they keep them; files and numbers are no classes."""
    assert list(brief(texts).values()) == expected


def test_plugins_by_their_names_where_those_differ() -> None:
    assert list(briefest(PROFILES).values()) == [
        "SlowAtNightProfile", "FastOnWeekendsAndHolidaysProfile", "markov",
    ]  # fmt: skip
    same = ["dirichlet alpha=0.1", "dirichlet alpha=0.5"]
    assert list(briefest(same).values()) == same
    assert list(briefest(["0.1", "2"]).values()) == ["0.1", "2"]


@pytest.fixture
def swept(write_run: WriteRun, tmp_path: Path) -> list[Run]:
    """Two of the user's methods and two bundled ones, under three profiles and two partitions."""
    rows, runs = [], tmp_path / "runs"
    for profile in PROFILES:
        for partition in ("dirichlet alpha=0.5", "iid"):
            for method in (MINE, "my_lab.methods.Other", "distreal", "fedavg"):
                run = write_run(method, [0.2, 0.6])
                (run.path / "run.json").write_text(json.dumps({"status": "finished"}))
                rows.append([method, method, profile, partition, 1, "finished", run.path.name])
    with (runs / "sweep.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["label", "method", "profile", "partition", "seed", "status", "hash"], *rows]
        )
    settings: dict[str, Any] = {"compare": ["method"], "baseline": None, "targets": []}
    (runs / "sweep.yaml").write_text(yaml.safe_dump(settings))
    return find_runs([runs])


def test_panel_titles_do_not_overlap(swept: list[Run]) -> None:
    """Drawn, every title lies within the figure and apart from all others, for both figures with panels."""
    assert len(swept) == 24
    for figure in (accuracy(swept), participation(swept[:8])):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = [
            axes.title.get_window_extent(canvas.get_renderer()) for axes in figure.axes if axes.get_title()
        ]
        assert len(boxes) > 5
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    legend = [text.get_text() for text in accuracy(swept).legends[0].get_texts()]
    assert legend == ["MyVeryOwnAveraging", "Other", "distreal", "fedavg"]
