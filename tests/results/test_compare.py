"""Sweeps read back: labels, paired differences, ranks, panels. Every number is derived in its test."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from distreal_sim.base.errors import InputError
from distreal_sim.results.compare import compare
from distreal_sim.results.directories import find_runs
from distreal_sim.results.plots._panels import panels_of
from distreal_sim.results.plots.accuracy import accuracy
from distreal_sim.results.table import render, to_csv

HEADER = (
    "round,sim_s,test_accuracy,test_loss,train_loss,n_selected,n_completed,n_partial,n_dropped,"
    "macs,macs_available,download_bytes,upload_bytes"
)
WriteSweep = Callable[..., Path]
Cells = dict[tuple[str, ...], float]


@pytest.fixture
def write_sweep(tmp_path: Path) -> WriteSweep:
    """A sweep of cells (method, values of `keys`..., seed) whose one round of 10 s ends with an accuracy."""

    def write(
        cells: Cells,
        keys: tuple[str, ...] = (),
        baseline: str | None = None,
        unfinished: tuple[tuple[str, ...], ...] = (),
    ) -> Path:
        out = tmp_path / "sweep"
        out.mkdir()
        settings = {"compare": ["method"], "baseline": baseline, "targets": [0.5]}
        (out / "sweep.yaml").write_text(yaml.safe_dump(settings))
        lines = [
            ",".join(["label,method", *keys, "seed,status,final_accuracy,best_accuracy,sim_s_to_0.5,hash"])
        ]
        for number, (cell, value) in enumerate(cells.items()):
            label, *values, seed = cell
            path = out / f"{9 - number}"
            path.mkdir()
            config = {"seed": int(seed), "method": {"name": "fedavg"}}
            (path / "config.yaml").write_text(yaml.safe_dump(config))
            status = "running" if cell in unfinished else "finished"
            (path / "run.json").write_text(json.dumps({"status": status}))
            (path / "rounds.csv").write_text(f"{HEADER}\n1,10.0,{value},1.0,1.0,4,3,0,1,100,200,8,8\n")
            lines.append(",".join([label, label, *values, seed, status, "", "", "", path.name]))
        (out / "sweep.csv").write_text("\n".join(lines) + "\n")
        return out

    return write


TWO: Cells = {
    ("full", "1"): 0.50, ("full", "2"): 0.60, ("full", "3"): 0.40,
    ("thin", "1"): 0.62, ("thin", "2"): 0.70, ("thin", "4"): 0.10,
}  # fmt: skip


def test_differences_are_paired_by_seed(write_sweep: WriteSweep) -> None:
    """Seeds 1 and 2 are common: 0.12 and 0.10, mean 0.11, std 0.01 sqrt 2, / sqrt 2 = 0.01, x 12.706.

    Unpaired, the means would be 0.5 and 0.4733: the paired difference has the other sign, and the rank, which
    is by mean, is 1 for full.
    """
    table = compare(find_runs([write_sweep(TWO)]), baseline="full")
    full, thin = (row for _, row in table.iterrows())
    assert (full["method"], full["rank"], thin["method"], thin["rank"]) == ("full", 1, "thin", 2)
    assert thin["difference"] == pytest.approx(0.11)
    assert thin["difference_ci95"] == pytest.approx(0.12706, abs=1e-5)
    assert thin["pairs"] == 2
    assert all(math.isnan(full[column]) for column in ("difference", "difference_ci95", "pairs"))
    assert full["reached_0.5"] == "2 of 3", "the sweep's own target"


FACETS: Cells = {
    ("full", "0.1", "iid", "1"): 0.5, ("full", "0.1", "skewed", "1"): 0.4, ("full", "1", "iid", "1"): 0.7,
    ("thin", "0.1", "iid", "1"): 0.6, ("thin", "1", "iid", "1"): 0.7,
}  # fmt: skip
KEYS = ("profile.low", "partition.name")


def test_a_table_for_each_setting(write_sweep: WriteSweep) -> None:
    """Each ranks from 1; equals share a rank; where the baseline is missing there is no difference."""
    table = compare(find_runs([write_sweep(FACETS, KEYS, baseline="thin")]))
    found = (
        table[["profile.low", "partition.name", "method", "rank", "difference"]].fillna(-1).values.tolist()
    )
    assert found == [
        ["0.1", "iid", "full", 2, pytest.approx(-0.1)],
        ["0.1", "iid", "thin", 1, -1],
        ["0.1", "skewed", "full", 1, -1],
        ["1", "iid", "full", 1, 0],
        ["1", "iid", "thin", 1, -1],
    ]
    text = io.StringIO()
    render(table, Console(file=text, width=20))
    printed = text.getvalue()
    assert [word in printed for word in ("low", "profile.low", "-0.1000", "+0.0000")] == [
        True,
        False,
        True,
        True,
    ]
    assert (
        to_csv(table)
        .splitlines()[0]
        .startswith("profile.low,partition.name,method,seeds,rounds,stopped_early,")
    )


def test_a_setting_called_like_a_column(write_sweep: WriteSweep) -> None:
    """Who sweeps `rounds` has two columns of that name."""
    table = compare(find_runs([write_sweep(FACETS, ("profile.low", "rounds"), baseline="thin")]))
    assert list(table.columns[:5]) == ["profile.low", "rounds (swept)", "method", "seeds", "rounds"]
    assert table[["rounds (swept)", "rounds"]].values.tolist()[2] == ["skewed", 1]


def test_labels_and_order_are_the_sweeps(write_sweep: WriteSweep) -> None:
    """Directories are named 9, 8, ...; the order is that of sweep.csv."""
    runs = find_runs([write_sweep(FACETS, KEYS)])
    assert [(run.variant, run.label) for run in runs[:2]] == [
        ("full", "full, low=0.1, partition=iid"),
        ("full", "full, low=0.1, partition=skewed"),
    ]
    assert runs[0].setting == {"profile.low": "0.1", "partition.name": "iid"}


def test_what_is_not_finished_is_left_out(
    write_sweep: WriteSweep, capsys: pytest.CaptureFixture[str]
) -> None:
    out = write_sweep(TWO, unfinished=(("thin", "4"),))
    assert len(find_runs([out])) == 5
    assert f"left out 1 of 6 runs in {out}: not finished" in capsys.readouterr().err
    table = (out / "sweep.csv").read_text().splitlines()
    (out / "sweep.csv").write_text("\n".join(table[:-2]) + "\n")
    assert len(find_runs([out])) == 4
    assert f"left out 2 runs in {out} that its sweep.csv does not list" in capsys.readouterr().err


def test_with_other_runs_a_sweep_is_labelled_by_configs(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All configs here are fedavg's, so that is the label, and repeated seeds are left out."""
    out = write_sweep(TWO)
    (tmp_path / "other").mkdir()
    for name in ("config.yaml", "run.json", "rounds.csv"):
        (tmp_path / "other" / name).write_bytes((out / "4" / name).read_bytes())
    runs = find_runs([out, tmp_path / "other"])
    assert {(run.label, run.place) for run in runs} == {("fedavg", None)}
    assert "not the runs of one sweep" in capsys.readouterr().err


def test_mistakes(write_sweep: WriteSweep) -> None:
    out = write_sweep(TWO)
    with pytest.raises(InputError, match=r"unknown baseline 'fulll'; did you mean 'full'\?"):
        compare(find_runs([out]), baseline="fulll")
    (out / "sweep.yaml").write_text("seeds: [1]")
    with pytest.raises(InputError, match=r"sweep.csv and sweep.yaml are not those of a sweep"):
        find_runs([out])


def test_a_panel_for_each_setting(write_sweep: WriteSweep) -> None:
    """Columns: the last key; rows: the other. The fourth place is empty; axes and legend are shared."""
    runs = find_runs([write_sweep(FACETS, KEYS)])
    panels = panels_of(runs)
    assert [(panel.row, panel.column, panel.title, list(panel.groups)) for panel in panels] == [
        (0, 0, "low = 0.1, partition = iid", ["full", "thin"]),
        (0, 1, "low = 0.1, partition = skewed", ["full"]),
        (1, 0, "low = 1, partition = iid", ["full", "thin"]),
    ]
    figure = accuracy(runs)
    assert [axes.get_title() for axes in figure.axes] == [*(panel.title for panel in panels), ""]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["full", "thin"]
    drawn = [[float(line.get_ydata()[0]) for line in axes.lines[:2]] for axes in figure.axes]
    assert [drawn[0], drawn[1][:1], drawn[2], drawn[3]] == [[0.5, 0.6], [0.4], [0.7, 0.7], []]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert figure.get_supxlabel() == "Simulated time (s)"


def test_panels_of_one_key_are_wrapped(write_sweep: WriteSweep) -> None:
    """Six values stand in two rows of three, five in two of three and two."""
    cells = {("full", str(value), "1"): 0.5 for value in range(6)}
    runs = find_runs([write_sweep(cells, ("rounds",))])
    assert [(p.row, p.column) for p in panels_of(runs)] == [(r, c) for r in (0, 1) for c in (0, 1, 2)]
    assert [(p.row, p.column) for p in panels_of(runs[:5])][3:] == [(1, 0), (1, 1)]
    assert panels_of(runs)[4].title == "rounds = 4"
