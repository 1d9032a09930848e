"""Runs found, labelled and read; time to accuracy. Every number is derived in its test's docstring."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from rich.console import Console

from distreal_sim.base.errors import InputError
from distreal_sim.results.statistics import (
    default_targets,
    find_runs,
    group,
    seconds_to,
    t_interval,
    time_to_accuracy,
)
from distreal_sim.results.table import formatted, render, to_csv

HEADER = (
    "round,sim_s,test_accuracy,test_loss,train_loss,n_selected,n_completed,n_partial,n_dropped,"
    "macs,macs_available,download_bytes,upload_bytes"
)
WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write a run whose round r ends at 10 r seconds with the r-th accuracy; None: not evaluated."""

    def write(where: str, accuracies: list[float | None], tail: str = "\n", **config: Any) -> Path:
        path = tmp_path / where
        path.mkdir(parents=True)
        full = {"name": where, "seed": 1, "method": {"name": "fedavg"}} | config
        (path / "config.yaml").write_text(yaml.safe_dump(full))
        (path / "run.json").write_text("{}")
        rows = [
            f"{r},{10.0 * r},{'' if a is None else a},{'' if a is None else 1.0},1.0,4,3,0,1,100,200,8,8"
            for r, a in enumerate(accuracies, start=1)
        ]
        (path / "rounds.csv").write_text("\n".join([HEADER, *rows]) + tail)
        return path

    return write


def test_t_interval_against_the_table_of_t() -> None:
    """t(0.975; 1) = 12.706 and t(0.975; 2) = 4.303; 30, 50: std 14.142, / sqrt 2 = 10. 1, 2, 3: std 1."""
    assert t_interval([30, 50]) == pytest.approx((40, 127.06), abs=0.01)
    assert t_interval([1, 2, 3]) == pytest.approx((2, 4.303 / math.sqrt(3)), abs=1e-3)
    assert t_interval([5, 5, 5]) == (5, 0)


def test_t_interval_of_one_value_does_not_exist() -> None:
    mean, half = t_interval([7, math.nan])
    assert mean == 7
    assert math.isnan(half)
    assert all(math.isnan(number) for number in t_interval([math.nan]))


def test_time_to_accuracy_over_two_seeds(write_run: WriteRun, tmp_path: Path) -> None:
    """0.8 is first evaluated at 30 s and 50 s: 40 +- 12.706 * 10. Final 0.9, 0.8: std 0.0707, / sqrt 2
    = 0.05: 0.85 +- 0.6353. Best 0.9, 0.85. 0.9 is reached by the first seed only, at 40 s: no interval.
    """
    write_run("a", [0.1, 0.5, 0.8, 0.9, 0.9], seed=1)
    write_run("b", [0.1, 0.7, None, None, 0.85, 0.8], seed=2)
    table = time_to_accuracy(find_runs([tmp_path]), [0.8, 0.9, 0.95])
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["method"], row["seeds"], row["rounds"]) == ("fedavg", 2, 5)
    assert (row["sim_s_to_0.8"], row["sim_s_to_0.8_ci95"]) == pytest.approx((40, 127.06), abs=0.01)
    assert row["reached_0.8"] == "2 of 2"
    assert (row["final_accuracy"], row["final_accuracy_ci95"]) == pytest.approx((0.85, 0.6353), abs=1e-4)
    assert row["best_accuracy"] == pytest.approx(0.875)
    assert (row["sim_s_to_0.9"], row["reached_0.9"]) == (40, "1 of 2")
    assert math.isnan(row["sim_s_to_0.9_ci95"])
    assert math.isnan(row["sim_s_to_0.95"])
    assert row["reached_0.95"] == "0 of 2"


def test_the_mean_of_the_last_evaluations(write_run: WriteRun, tmp_path: Path) -> None:
    """Of three: (0.8 + 0.9 + 0.1) / 3 = 0.6, rounds without a test not counted; of ten: of all four, 0.475.

    The other seed has two: 0.7 and 0.9, mean 0.8.
    """
    write_run("a", [0.1, None, 0.8, 0.9, 0.1], seed=1)
    write_run("b", [0.7, 0.9], seed=2)
    for n_last, own in ((1, 0.1), (3, 0.6), (10, 0.475)):
        runs = find_runs([tmp_path], n_last=n_last)
        other = 0.9 if n_last == 1 else 0.8
        assert [run.final() for run in runs] == pytest.approx([own, other])
        table = time_to_accuracy(runs, [])
        assert table["final_accuracy"].item() == pytest.approx((own + other) / 2)
        assert table["full_accuracy"].item() == pytest.approx((own + other) / 2)
        assert table["best_accuracy"].item() == pytest.approx(0.9)
        text = io.StringIO()
        render(table, Console(file=text), n_last)
        assert (f"mean of the last {n_last} evaluations" in " ".join(text.getvalue().split())) == (n_last > 1)


def test_what_does_not_exist_is_empty_in_csv_and_a_dash_in_print(write_run: WriteRun) -> None:
    """One seed, no interval; 0.9 is never reached. 10 s to 0.5. 100 of 200 MACs, 3 of 4 clients a round."""
    table = time_to_accuracy(find_runs([write_run("a", [0.5, 0.75])]), [0.5, 0.9])
    header, row = to_csv(table).splitlines()
    assert header.split(",")[-6:-3] == ["sim_s_to_0.5", "sim_s_to_0.5_ci95", "reached_0.5"]
    assert header.split(",")[-3:] == ["sim_s_to_0.9", "sim_s_to_0.9_ci95", "reached_0.9"]
    assert row == "fedavg,1,2,0,0.75,,0.75,,0.75,,0.5,,0.75,10.0,,1 of 1,,,0 of 1"
    text = io.StringIO()
    render(table, Console(file=text, width=20))  # a pipe: nothing is cut to the width
    assert "10.0 (1 of 1)" in text.getvalue()
    assert "- (0 of 1)" in text.getvalue()
    assert "±" not in text.getvalue().split("mean")[0]


def test_the_largest_trained_part_counts_or_the_whole_network(write_run: WriteRun) -> None:
    """Whole: 0.1, 0.2, 0.3. Nothing is trained in round 1, a part in round 2 (0.5), the whole in round 3.

    So 0.1, 0.5, 0.3: 0.45 after 20 s, best 0.5, final 0.3. A second seed never trains the whole: final 0.7.
    """
    rounds = []
    for seed, parts in ((1, ["", "0.5", "0.3"]), (2, ["", "0.6", "0.7"])):
        path = write_run(f"run{seed}", [0.1, 0.2, 0.3], seed=seed)
        head, *rows = (path / "rounds.csv").read_text().splitlines()
        both = [
            f"{head},submodel_accuracy",
            *(f"{row},{part}" for row, part in zip(rows, parts, strict=True)),
        ]
        (path / "rounds.csv").write_text("\n".join(both) + "\n")
        rounds.append(path)
    (row,) = time_to_accuracy(find_runs(rounds), [0.45]).to_dict("records")
    assert (row["final_accuracy"], row["best_accuracy"]) == (pytest.approx(0.5), pytest.approx(0.6))
    assert (row["full_accuracy"], row["full_accuracy_ci95"]) == (
        pytest.approx(0.3),
        pytest.approx(0, abs=1e-12),
    )
    assert (row["sim_s_to_0.45"], row["reached_0.45"]) == (20, "2 of 2")
    assert default_targets(find_runs(rounds[:1])) == (0.5,)
    (row,) = time_to_accuracy(find_runs(rounds, "full"), [0.45]).to_dict("records")
    assert [row[f"{which}_accuracy"] for which in ("final", "best", "full")] == pytest.approx([0.3] * 3)
    assert row["reached_0.45"] == "0 of 2"
    for metric, shown in (("trained", True), ("full", False)):
        text = io.StringIO()
        render(time_to_accuracy(find_runs(rounds, metric), []), Console(file=text))
        assert ("full accuracy" in text.getvalue()) == shown
        assert "50 %" in text.getvalue()


def test_shares_of_macs_and_of_completed_clients(write_run: WriteRun, tmp_path: Path) -> None:
    """100 of 200 MACs and 3 of 4 clients in each of two rounds; then 300 of 400 and 4 of 4 in the second:
    400 of 600 and 7 of 8. Capacity without end has no share, and a round without clients none completed.
    """
    path = write_run("a", [0.5, 0.5])
    (run,) = find_runs([path])
    assert (run.macs_share, run.completed_share) == (0.5, 0.75)
    text = (path / "rounds.csv").read_text()
    end = "2,20.0,0.5,1.0,1.0,4,3,0,1,100,200,8,8"
    assert end in text
    (path / "rounds.csv").write_text(text.replace(end, "2,20.0,0.5,1.0,1.0,4,4,0,0,300,400,8,8"))
    (run,) = find_runs([path])
    assert (run.macs_share, run.completed_share) == (pytest.approx(2 / 3), 0.875)
    (path / "rounds.csv").write_text(text.replace(end, "2,20.0,0.5,1.0,1.0,4,3,0,1,100,inf,8,8"))
    (run,) = find_runs([path])
    assert math.isnan(run.macs_share)
    nobody = [line.replace(",4,3,0,1,100,200,", ",0,0,0,0,0,0,") for line in text.splitlines()]
    (path / "rounds.csv").write_text("\n".join(nobody) + "\n")
    (run,) = find_runs([path])
    assert math.isnan(run.macs_share)
    assert math.isnan(run.completed_share)


def test_the_share_of_macs_that_counted(write_run: WriteRun) -> None:
    """Two clients spend 100 of 200 offered MACs each, and one is dropped: 100 of 400.

    Then four of 200 each: 60 completed, 30 partial: 90 of 800. Without rows nothing is known.
    """
    path = write_run("a", [0.5])
    assert math.isnan(find_runs([path])[0].merged_share)
    for status, macs, expected in (
        (["completed", "dropped"], [100, 100], 0.25),
        (["completed", "partial", "dropped", "diverged"], [60, 30, 10, 50], 90 / 800),
        (["dropped"], [200], 0.0),
    ):
        offered = [200.0] * len(macs)
        table = pd.DataFrame({"status": status, "macs": macs, "macs_available": offered})
        table.to_parquet(path / "clients.parquet")
        (run,) = find_runs([path])
        assert run.merged_share == pytest.approx(expected)
        assert time_to_accuracy([run], [])["merged_share"].item() == pytest.approx(expected)


class Terminal(io.StringIO):
    """A file that is a terminal."""

    def isatty(self) -> bool:
        return True


NUMBER = re.compile(r"[+-]?[\d.,]+ ± [\d.,]+\*?(?: \(\d+ of \d+\))?|\b(?!95 )\d+ %")


@pytest.mark.parametrize("n_settings", [0, 2])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 400])
def test_numbers_are_whole_at_any_width(
    width: int, n_settings: int, write_run: WriteRun, tmp_path: Path
) -> None:
    """The numbers of a wide table are those of a narrow one, in the same order for one row, and no line is
    wider than the terminal.
    """
    for seed in (1, 2):
        long = {"name": "my_package.my_module.MyVeryOwnMethod"}
        write_run(f"run{seed}", [0.1, 0.5 + seed / 1000, 0.8, 0.75 + seed / 100], seed=seed, method=long)
    table = time_to_accuracy(find_runs([tmp_path]), [0.5, 0.7, 0.8])
    for number in range(n_settings):
        table.insert(0, f"profile.key_{number}", "a value of many words, and more")
    shown = []
    for console in (Console(file=Terminal(), width=width, force_terminal=True), Console(file=io.StringIO())):
        render(table, console)
        shown.append(console.file.getvalue())  # type: ignore[attr-defined]
    narrow, whole = (NUMBER.findall(re.sub(r"\x1b\[[\d;]*m", "", text)) for text in shown)
    assert narrow == whole
    assert len(whole) == 2 + 3 + 2, "accuracies, seconds, shares that are known"
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown[0]).splitlines()
    assert max(map(len, lines)) <= max(width, 60)


def test_an_interval_from_two_seeds_carries_a_remark(write_run: WriteRun, tmp_path: Path) -> None:
    """Two seeds have one, three have none; two of three that got to 0.9 have one again."""
    for seed, last in ((1, 0.91), (2, 0.92), (3, 0.8)):
        write_run(f"run{seed}", [0.1 * seed, 0.7, last], seed=seed)
    for seeds, marked in (((1,), 0), ((1, 2), 3), ((1, 2, 3), 1)):
        text = io.StringIO()
        runs = [run for run in find_runs([tmp_path]) if run.seed in seeds]
        render(time_to_accuracy(runs, [0.9]), Console(file=text))
        table, caption = text.getvalue().split("mean ±")
        assert table.count("*") == marked
        assert table.endswith("\n"), "what explains the table begins at the left"
        assert ("from two seeds" in " ".join(caption.split())) == (marked > 0)


def test_a_target_counts_when_met_exactly(write_run: WriteRun) -> None:
    """0.1 + 0.2 is a hair above 0.3 in binary: an accuracy of 0.3 still meets it, 0.2999 does not."""
    runs = find_runs([write_run("a", [0.2999, 0.3])])
    assert seconds_to(runs[0], 0.1 + 0.2) == 20


def test_target_outside_zero_to_one(write_run: WriteRun) -> None:
    runs = find_runs([write_run("a", [0.5])])
    with pytest.raises(InputError, match=r"target 80 must be an accuracy in \(0, 1\]"):
        time_to_accuracy(runs, [80])


def test_default_targets(write_run: WriteRun, tmp_path: Path) -> None:
    """Fedavg's seeds get to 0.62 and 0.66, so both to 0.62 -> 0.6; distreal's to 0.93 and 0.89 -> 0.85;
    half-way 0.755 -> 0.75. The best of the weakest seed counts, not its last.
    """
    write_run("a", [0.1, 0.62, 0.6], seed=1)
    write_run("b", [0.1, 0.66], seed=2)
    write_run("c", [0.1, 0.93], seed=1, method={"name": "distreal"})
    write_run("d", [0.1, 0.89], seed=2, method={"name": "distreal"})
    assert default_targets(find_runs([tmp_path])) == (0.6, 0.75, 0.85)


def test_default_targets_are_finer_for_a_small_gain_and_none_without(write_run: WriteRun) -> None:
    """From 0.1 to 0.134 no multiple of 0.05 lies above the start; 0.13 is a multiple of 0.01."""
    assert default_targets(find_runs([write_run("a", [0.1, 0.134])])) == (0.13,)
    assert default_targets(find_runs([write_run("b", [0.1, 0.1])])) == ()
    assert default_targets(find_runs([write_run("c", [None, None])])) == ()


def test_runs_that_differ_in_seed_name_and_data_dir_are_one_experiment(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for seed in (2, 1):
        write_run(f"deep/er/{seed}", [0.5], seed=seed, dataset={"name": "digits", "data_dir": f"/d{seed}"})
    runs = find_runs([tmp_path, tmp_path / "deep"])
    assert [(run.label, run.seed) for run in runs] == [("fedavg", 1), ("fedavg", 2)]
    assert list(group(runs)) == ["fedavg"]


def test_labels_name_what_differs_and_nothing_else(write_run: WriteRun, tmp_path: Path) -> None:
    """`front` belongs to distreal alone and never differs there; 2 sorts before 10."""
    distreal = {"name": "distreal", "front": {"uniform": 16}}
    for alpha in (10, 2):
        partition = {"name": "dirichlet", "alpha": alpha}
        write_run(f"f{alpha}", [0.5], partition=partition)
        write_run(f"d{alpha}", [0.5], partition=partition, method=distreal)
    write_run("iid", [0.5], partition={"name": "iid"})
    assert [run.label for run in find_runs([tmp_path])] == [
        "distreal, partition=dirichlet, alpha=2",
        "distreal, partition=dirichlet, alpha=10",
        "fedavg, partition=dirichlet, alpha=2",
        "fedavg, partition=dirichlet, alpha=10",
        "fedavg, partition=iid",
    ]


def test_labels_keep_the_whole_key_where_the_last_part_is_ambiguous(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("a", [0.5], local={"lr": 0.1}, merge={"lr": 1.0})
    write_run("b", [0.5], local={"lr": 0.2}, merge={"lr": 0.5})
    assert {run.label for run in find_runs([tmp_path])} == {
        "fedavg, local.lr=0.1, merge.lr=1.0", "fedavg, local.lr=0.2, merge.lr=0.5",
    }  # fmt: skip


def test_a_repeated_seed_is_left_out(
    write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy that got further stays; two equal runs are no evidence of two seeds."""
    write_run("a", [0.5])
    further = write_run("b", [0.5, 0.6])
    assert [run.path for run in find_runs([tmp_path])] == [further]
    assert "repeats" in capsys.readouterr().err


def test_a_running_run(write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A half-written last line is no row yet; a run with the header only is skipped, with a warning."""
    write_run("torn", [0.5, 0.6], tail="\n3,30.0,0.")
    write_run("new", [], method={"name": "small"})
    runs = find_runs([tmp_path])
    assert [(run.label, len(run.rounds)) for run in runs] == [("fedavg", 2)]
    assert "new has no finished round yet" in capsys.readouterr().err
    with pytest.raises(InputError, match="has finished a round yet"):
        find_runs([tmp_path / "new"])


def test_mistakes_in_what_is_given(write_run: WriteRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="holds no run"):
        find_runs([tmp_path])
    path = write_run("a", [0.5])
    with pytest.raises(InputError, match="is not a directory"):
        find_runs([path / "rounds.csv"])
    with pytest.raises(InputError, match=r"clients.parquet does not exist"):
        len(find_runs([path])[0].clients)
    whole = (path / "rounds.csv").read_text()
    (path / "rounds.csv").write_text(whole.replace("test_loss,", "loss,"))
    with pytest.raises(InputError, match=r"rounds.csv lacks the column\(s\) test_loss"):
        find_runs([path])
    (path / "rounds.csv").write_text(whole.replace("0.5", "half"))
    with pytest.raises(InputError, match=r"rounds.csv is not a table of rounds: .*half"):
        find_runs([path])
    (path / "rounds.csv").write_text(whole)
    (path / "config.yaml").write_text("seed: 1")
    with pytest.raises(InputError, match=r"config.yaml is not the config of a run"):
        find_runs([path])


def test_extra_columns_are_kept(write_run: WriteRun) -> None:
    path = write_run("a", [0.5])
    table = pd.read_csv(path / "rounds.csv").assign(energy_j=2.5)
    table.to_csv(path / "rounds.csv", index=False)
    assert find_runs([path])[0].rounds["energy_j"].tolist() == [2.5]


def test_runs_of_other_source_code_are_other_experiments(write_run: WriteRun, tmp_path: Path) -> None:
    """Two versions of a method's file, one with two seeds: two labels, no run left out; another has none."""
    mine = {"name": "my.Method"}
    for seed, code in ((1, "aa"), (2, "aa"), (1, "bb")):
        path = write_run(f"{code}{seed}", [0.5], seed=seed, method=mine)
        (path / "run.json").write_text(json.dumps({"sources": {"my.py": code}}))
    write_run("other", [0.5])
    found = {label: [run.seed for run in runs] for label, runs in group(find_runs([tmp_path])).items()}
    assert sorted(found.values()) == [[1], [1], [1, 2]]
    assert {label.partition(", code=")[0] for label in found} == {"fedavg", "my.Method"}
    assert "fedavg" in found


def test_markdown_and_latex(write_run: WriteRun) -> None:
    """Two seeds: 0.5 and 0.75 on average 0.625, +- 12.706 * 0.125 = 1.5883. Signs of either language are
    escaped; what is printed is what a terminal shows.
    """
    mine = {"method": {"name": "my_method"}}
    runs = find_runs([write_run("a", [0.5], seed=1, **mine), write_run("b", [0.75], seed=2, **mine)])
    table = time_to_accuracy(runs, [0.6])
    head, rule, row, empty, caption = formatted(table, "markdown").splitlines()
    assert head.startswith(
        "| method | seeds | rounds | final accuracy | best accuracy | simulated s to 0.6 |"
    )
    assert rule == "| --- | " + " | ".join(["---:"] * 8) + " |"
    assert row.startswith("| my_method | 2 | 1 | 0.6250 ± 1.5883\\* | 0.6250 ± 1.5883\\* | 10.0 (1 of 2) |")
    assert (empty, caption[:4]) == ("", "mean")
    latex = formatted(table, "latex").splitlines()
    assert latex[:2] == [r"\begin{tabular}{lrrrrrrrr}", r"\toprule"]
    assert latex[4].startswith(r"my\_method & 2 & 1 & 0.6250 $\pm$ 1.5883* & ")
    assert latex[4].endswith(r" & 75 \% & 50 \% & - \\")
    assert latex[5:7] == [r"\bottomrule", r"\end{tabular}"]
    assert latex[-1].startswith("% mean")
    assert formatted(table, "csv") == to_csv(table)
