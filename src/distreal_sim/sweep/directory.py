"""The files of a sweep: `sweep.yaml`, `sweep.csv`, one folder per run named by its hash, and `errors/`."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from distreal_sim.base.directory import lock_directory
from distreal_sim.base.files import write_atomically
from distreal_sim.base.sources import Sources, changed
from distreal_sim.config import dump_yaml
from distreal_sim.results.runs import TEST, read_run
from distreal_sim.results.statistics import seconds_to
from distreal_sim.results.sweep_table import FACTS
from distreal_sim.sweep.cells import Cell
from distreal_sim.sweep.settings import Sweep


class SweepDirectory:
    """The open directory of one sweep. sweep.csv has no wall-clock figures: any history gives the same."""

    def __init__(self, path: Path, sweep: Sweep, cells: Sequence[Cell]) -> None:
        self.path, self._sweep, self._cells = path, sweep, cells
        self.errors = path / "errors"
        self._results: dict[str, list[str]] = {}
        self._y: str | None = None

    def begin(self) -> None:
        """Writes the settings and the table: from now on the directory holds this sweep.

        Runs of an earlier version of the sweep stay where they are; only the table forgets them.
        """
        plain = self._sweep.model_dump(mode="json")
        write_atomically(self.path / "sweep.yaml", dump_yaml(plain, sort_keys=False).encode())
        self.write_table()

    def run_path(self, cell: Cell) -> Path:
        """The run's own directory."""
        return self.path / cell.hash

    def finished(self, cell: Cell) -> bool:
        """Whether the cell's run was played to its end; decided by its files alone."""
        try:
            info = json.loads((self.run_path(cell) / "run.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(info.get("status") == "finished" and info.get("config_hash") == cell.hash)

    def outdated(self, cells: Sequence[Cell]) -> dict[str, int]:
        """Source files that were changed after some of these cells were run, and how many cells those are.

        A cell counts where the directory holds its run of other source code, and none of this one.
        """
        before: dict[str, Sources] = {}
        for path in sorted(self.path.glob("*/run.json")):
            with contextlib.suppress(OSError, ValueError):
                info = json.loads(path.read_text())
                before[info.get("settings_hash", "")] = info.get("sources", {})
        found: Counter[str] = Counter()
        for cell in cells:
            earlier = before.get(cell.experiment.hash(with_sources=False))
            if earlier is not None and not self.run_path(cell).exists():
                file = changed(earlier, cell.experiment.sources)
                found.update([file] if file is not None else [])
        return dict(found)

    def failed(self, cell: Cell) -> bool:
        """Whether the cell failed when it was last tried."""
        return not self.finished(cell) and (self.errors / f"{cell.hash}.txt").exists()

    def note_failure(self, cell: Cell, details: str) -> None:
        """Writes the details of a failure, for people."""
        self.errors.mkdir(exist_ok=True)
        write_atomically(self.errors / f"{cell.hash}.txt", f"{cell.name}\n\n{details}\n".encode())

    def forget_failure(self, cell: Cell) -> None:
        """Removes the details of a failure: the cell is tried again, or was finished."""
        (self.errors / f"{cell.hash}.txt").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there are others in it, or it does not exist
            self.errors.rmdir()

    def write_table(self) -> None:
        """Replaces sweep.csv."""
        keys = list(self._cells[0].shown)
        targets = [f"sim_s_to_{target:g}" for target in self._sweep.targets]
        content = io.StringIO()
        table = csv.writer(content, lineterminator="\n")
        y = self._score()
        facts = [
            f"{fact.removesuffix('accuracy')}{y}" if fact.endswith("_accuracy") else fact for fact in FACTS
        ]
        table.writerow(["label", *keys, *facts, *targets, "hash"])
        for cell in self._cells:
            shown = [cell.place.variant, *cell.shown.values(), str(cell.experiment.seed)]
            table.writerow([*shown, *self._result(cell), cell.hash])
        write_atomically(self.path / "sweep.csv", content.getvalue().encode())

    def _score(self) -> str:
        """The score that the table shows: the first one of the first finished run."""
        if self._y is None:
            done = next((cell for cell in self._cells if self.finished(cell)), None)
            run = None if done is None else read_run(self.run_path(done))
            self._y = None if run is None else run.y
        return self._y or "accuracy"

    def _result(self, cell: Cell) -> list[str]:
        """Status, accuracies, shares, and simulated seconds to each target; empty where there is none."""
        if cell.hash in self._results:
            return self._results[cell.hash]
        if not self.finished(cell):
            n_numbers = len(FACTS) - 2 + len(self._sweep.targets)  # but for seed and status
            return ["failed" if self.failed(cell) else "unfinished", *[""] * n_numbers]
        run = read_run(self.run_path(cell))
        assert run is not None, "a finished run has rounds"
        y = self._score()
        if y not in run.scores:
            y = run.y
        run = run.showing(y)
        score, full = run.evaluated[y], run.evaluated[TEST + y]
        numbers = [float(score.iloc[-1]), run.best(), float(full.iloc[-1])]
        numbers += [run.macs_share, run.merged_share, run.completed_share]
        numbers += [seconds_to(run, target) for target in self._sweep.targets]
        self._results[cell.hash] = ["finished", *("" if n != n else repr(n) for n in numbers)]
        return self._results[cell.hash]


@contextlib.contextmanager
def open_directory(path: Path, sweep: Sweep, cells: Sequence[Cell]) -> Iterator[SweepDirectory]:
    """The directory of a sweep, new or begun before; locked within the block.

    Raises InputError where it is in use or holds something else.
    """
    # A user's own file may be called sweep.yaml; beside a lock it is ours.
    begun = all((path / name).exists() for name in (".lock", "sweep.yaml"))
    with lock_directory(path, "sweep", begun=begun, config="sweep.yaml"):
        yield SweepDirectory(path, sweep, cells)
