"""What long commands say where stderr is no terminal: few lines, and none too few."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from sweep.toy_sweep import write_sweep
from toys import toy

from distreal_sim.base.progress import EVERY_WALL_S, Lines, progress_on_stderr
from distreal_sim.inspection.console import rounds_shown
from distreal_sim.search.explore import Generation
from distreal_sim.search.progress import SearchShown
from distreal_sim.search.settings import Search
from distreal_sim.simulation.rows import ClientRows, RoundRow, Scores
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.progress import SweepShown


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_wall_s = 100.0
        self.file = io.StringIO()
        self.progress = Lines(self.file, lambda: self.now_wall_s)

    def lines(self, wait_wall_s: float = 0.0) -> list[str]:
        """The lines since the last call; then time goes on."""
        said = self.file.getvalue().splitlines()
        self.file.truncate(self.file.seek(0))
        self.now_wall_s += wait_wall_s
        return said


def row(round_number: int, accuracy: float | None, n_merged: int) -> RoundRow:
    tested = None if accuracy is None else {"accuracy": accuracy, "loss": 1.0}
    none = RoundRow.of(
        round_number, 10.0 * round_number, tested and Scores(tested, None, {}), ClientRows.of([])
    )
    return replace(none, n_selected=5, n_completed=max(0, n_merged - 1), n_partial=min(1, n_merged))


def test_a_run_says_a_line_a_round() -> None:
    clock = Clock()
    on_round = rounds_shown(toy(), clock.progress)
    on_round(row(1, 0.5, 3))
    on_round(row(2, None, 3))
    assert clock.lines() == [
        "distreal: round 1 of 4, accuracy 0.500, simulated 10 s, 3 of 5 clients merged",
        "distreal: round 2 of 4, accuracy 0.500, simulated 20 s, 3 of 5 clients merged",
    ]


def test_a_run_without_training_says_a_line_every_few_seconds() -> None:
    """Rounds 1 and 2 pass at once, 3 when a line is due, 4 at once; the accuracy is the last one known."""
    clock = Clock()
    on_round = rounds_shown(toy(), clock.progress, every=False)
    on_round(row(1, 0.5, 3))
    on_round(row(2, None, 3))
    assert clock.lines(EVERY_WALL_S) == []
    on_round(row(3, None, 3))
    on_round(row(4, 0.7, 3))
    said = ["distreal: round 3 of 4, accuracy 0.500, simulated 30 s, 3 of 5 clients merged"]
    assert clock.lines(EVERY_WALL_S) == said
    on_round(row(4, None, 0))
    assert clock.lines() == ["distreal: round 4 of 4, accuracy 0.700, simulated 40 s, NOTHING MERGED"]


def test_a_sweep_says_a_line_a_cell(tmp_path: Path) -> None:
    """At once when a cell ends; those that run when a line is due, by their tables, three by name."""
    _, cells, _ = load_cells(write_sweep(tmp_path))
    clock = Clock()
    lines = SweepShown(clock.progress)
    lines.begin(cells[:5], 3, lambda cell: tmp_path / cell.hash)
    lines.running(cells[:2])
    lines.look()
    assert clock.lines() == []
    lines.ended(cells[0], failed=False)
    lines.ended(cells[1], failed=True)
    assert clock.lines(EVERY_WALL_S) == [
        "cell 4 of 8 done: drop, changes_per_round=0, seed 7",
        "cell 5 of 8 failed: drop, changes_per_round=0, seed 8",
    ]
    (tmp_path / cells[2].hash).mkdir()
    (tmp_path / cells[2].hash / "rounds.csv").write_text("head\nrow\nrow\n")
    lines.running(cells[2:6])
    lines.look()
    lines.look()
    assert clock.lines() == [
        "running: drop, changes_per_round=3, seed 7: round 2 of 4; drop, changes_per_round=3, seed 8: round "
        "0 of 4; thin, changes_per_round=0, seed 7: round 0 of 4; and 1 more"
    ]


def test_a_search_says_a_line_every_few_seconds() -> None:
    """10 vectors at most; a generation that was played again from the archive counts."""
    clock = Clock()
    search = Search(experiment=Path("toy.yaml"), population=5, generations=2)
    lines = SearchShown(clock.progress)
    lines.begin(search)
    lines.scored()
    assert clock.lines(EVERY_WALL_S) == []
    lines.generation(Generation(1, 5, 3, 0.25))
    lines.scored()
    said = "6 of 10 vectors tried, generation 1, hypervolume 0.2500"
    assert clock.lines() == [f"search: {said}"]
    lines.reevaluation(4)
    assert clock.lines(EVERY_WALL_S) == ["search: over after 6 vectors, generation 1, hypervolume 0.2500"]
    lines.scored()
    assert clock.lines() == ["fresh seeds: 1 of 4 vectors tried"]


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a line, on stderr, once it is due."""
    monkeypatch.setattr("distreal_sim.base.progress.EVERY_WALL_S", 0.0)
    for shown, n_lines in ((False, 0), (True, 1)):
        with progress_on_stderr(shown) as progress:
            rounds_shown(toy(), progress)(row(1, 0.5, 3))
        out, err = capfd.readouterr()
        assert (out, len(err.splitlines())) == ("", n_lines)
