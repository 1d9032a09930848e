"""The files of a run: created, committed at checkpoints, cut back on resume, closed at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import save

from distreal_sim.base.directory import lock_directory, read_status, write_status
from distreal_sim.base.errors import InputError, RunError
from distreal_sim.base.files import sync, write_atomically
from distreal_sim.base.sources import git_state
from distreal_sim.base.versions import version_of
from distreal_sim.client.messages import Arrays
from distreal_sim.config import Experiment, dump_yaml, read_yaml
from distreal_sim.recipe.metrics import Better
from distreal_sim.recipe.scoring import CLASS_COLUMNS
from distreal_sim.simulation.checkpoints import Checkpoints
from distreal_sim.simulation.client_parts import ClientParts
from distreal_sim.simulation.client_scores import client_columns, table_columns
from distreal_sim.simulation.extension import check_same, ends_of, goes_on_from
from distreal_sim.simulation.rounds import Progress
from distreal_sim.simulation.rows import ClientRow, ClientRows, RoundRow, Timing, round_columns
from distreal_sim.simulation.table_files import CsvTable
from distreal_sim.simulation.watch import check_watched
from distreal_sim.thinning.measured.file import read_costs
from distreal_sim.thinning.measured.table import CostTable

BEST = "best.safetensors"
"""The best model, where the config wants it kept."""

PACKAGES = ("distreal-sim", "torch", "flwr", "ray", "numpy", "pandas", "pyarrow", "pydantic")


class RunDirectory:
    """The open directory of one run; holds its lock until `close`.

    Tables grow by appending; a checkpoint is the commit point: rows written after it are cut off when the
    run is resumed. costs: measured costs that the run uses, set before `resume`, as is what is measured in
    tests (`measures`).
    """

    def __init__(self, path: Path, experiment: Experiment, *, resume: bool, training: bool = True) -> None:
        """Opens the directory for a new run, or the one to resume. Raises InputError if neither is possible.

        training: False if the clock runs alone and nothing is computed.

        Before `resume` is called, a new run leaves only the lock in the directory, so that the corrected
        command can use it after a mistake in the input.
        """
        self.path = path
        self.experiment, self.training = experiment, training
        self.notes: dict[str, Any] = {}  # more of run.json
        self.costs: CostTable | None = None
        self._git = git_state()
        self._start_wall_s = time.perf_counter()
        self._earlier_wall_s = 0.0
        self._rows: list[ClientRows] = []
        self._begun = self._new = False
        self._last_written: int | None = (
            None  # the last round that was written completely, until it is committed
        )
        self.scores: Mapping[str, Better] = {}
        self.rounds = CsvTable(path / "rounds.csv", round_columns(experiment.columns, ()))
        self.parts_of_tests: dict[str, CsvTable] = {}  # client_scores, class_scores
        self.timing = CsvTable(path / "timing.csv", [f.name for f in dataclasses.fields(Timing)])
        self.parts = ClientParts(path / "clients.parts")
        self.checkpoints = Checkpoints(path / "checkpoint")
        existed = (path / "config.yaml").exists()
        if resume and not training:
            raise InputError("--no-training cannot be resumed; it takes seconds: choose another --out")
        if existed and not resume:
            goes_on = "add --resume to resume it, or " if training else ""
            raise InputError(f"{path} already holds a run; {goes_on}choose another --out")
        self._lock = lock_directory(path, "run", begun=existed, config="config.yaml")
        try:
            if existed:
                check_same(path, experiment)
        except BaseException:
            self.close()
            raise

    @property
    def finished(self) -> bool:
        """Whether the run was played to its end, which may be later now than when it was."""
        info = read_status(self.path / "run.json")
        return info.get("status") == "finished" and info["config_hash"] == self.experiment.hash()

    def measured(self) -> CostTable | None:
        """What was measured for the run that is resumed; None for a new one.

        Raises InputError where the file is missing or not the one that the run began with.
        """
        began = read_status(self.path / "run.json").get("cost")
        if began is None:
            return None
        table = read_costs(self.path / "cost.json")
        if table.content != began:
            raise InputError(
                f"{self.path / 'cost.json'} is not what the run began with ({table.content}, then {began}); "
                "choose another --out"
            )
        return table

    def measures(self, scores: Mapping[str, Better]) -> None:
        """Sets the scores of the tests, and which values of each are better.

        Raises InputError where the config watches another one.
        """
        check_watched(self.experiment, scores)
        self.scores = scores
        of_clients = client_columns(scores) if self.experiment.evaluation.clients else []
        self.rounds.columns = round_columns(self.experiment.columns, scores, of_clients)
        columns = {"client_scores": table_columns(scores)} if of_clients else {}
        if self.experiment.evaluation.classes:
            columns["class_scores"] = ["round", *CLASS_COLUMNS]
        for name, own in columns.items() if self.training else ():
            self.parts_of_tests[name] = CsvTable(self.path / f"{name}.csv", own)

    def resume(self, fresh: Progress) -> tuple[Progress, dict[int, bytes]]:
        """Starts the files of a new run, or cuts the tables back to the last checkpoint.

        Returns the progress and the clients' contexts of that checkpoint; without one, `fresh` and none.
        """
        with _writing():
            return self._resume(fresh)

    def _resume(self, fresh: Progress) -> tuple[Progress, dict[int, bytes]]:
        self._begun, self._new = True, not (self.path / "config.yaml").exists()
        if self._new:
            self._write_config()
        if self.costs is not None:
            self.costs.save(self.path / "cost.json")
        self.parts.folder.mkdir(exist_ok=True)
        self.checkpoints.create()
        saved = self.checkpoints.last(self._can_go_on_from)
        meta = {} if saved is None else saved.meta
        self._earlier_wall_s = meta.get("wall_s", 0.0)
        n_rounds = meta.get("round", 0)
        if read_status(self.path / "run.json").get("status") == "finished":
            self.parts.divide(self.path / "clients.parquet", n_rounds)
        self._write_info("running")
        resolved = self.experiment.resolved()
        if not self._new and ends_of(read_yaml(self.path / "config.yaml")) != ends_of(resolved):
            self._write_config()
        for name in ("clients.parquet", "model.safetensors"):
            (self.path / name).unlink(missing_ok=True)
        self.checkpoints.remove(but=set() if saved is None else {saved.path})
        self.rounds.cut(meta.get("rounds_csv_bytes"))
        self.timing.cut(meta.get("timing_csv_bytes"))
        for name, table in self.parts_of_tests.items():
            table.cut(meta.get(f"{name}_bytes"))
        self.parts.cut(n_rounds)
        return (fresh, {}) if saved is None else saved.read()

    def _write_config(self) -> None:
        plain = dump_yaml(self.experiment.resolved(), sort_keys=False)
        write_atomically(self.path / "config.yaml", plain.encode())

    def _can_go_on_from(self, meta: Mapping[str, Any]) -> bool:
        rounds, evaluation = self.experiment.rounds, self.experiment.evaluation
        return goes_on_from(meta["round"], meta["rounds"], rounds, evaluation)

    def write(self, row: RoundRow, rows: Sequence[ClientRow], timing: Timing) -> None:
        """Adds a round; its client rows reach the disk with the next commit."""
        self._last_written = None
        with _writing():
            self.rounds.append(row.cells)
            self.timing.append(vars(timing))
            for name, table in self.parts_of_tests.items():
                for own in row.clients if name == "client_scores" else row.classes:
                    table.append(own)
        self._rows.append(ClientRows.of(rows))
        self._new, self._last_written = False, row.round

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        """Makes everything up to this round durable; a crash at any moment leaves this or the last commit.

        Does nothing unless the round is the last one written.
        """
        if self._last_written != progress.round_number:
            return
        self._last_written = None
        with _writing():
            self._commit(progress, contexts)

    def _commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        if self._rows:
            self.parts.add(progress.round_number, ClientRows.join(self._rows))
            self._rows = []
        own = [table.path for table in self.parts_of_tests.values()]
        for path in (self.rounds.path, self.timing.path, *own, self.parts.folder):
            sync(path)
        if not self.training:
            return  # a timed run is repeated, not resumed
        rounds, evaluation = self.experiment.rounds, self.experiment.evaluation
        lengths = {
            "rounds_csv_bytes": self.rounds.n_bytes,
            "timing_csv_bytes": self.timing.n_bytes,
            **{f"{name}_bytes": table.n_bytes for name, table in self.parts_of_tests.items()},
        }
        more = {"rounds": rounds, "wall_s": self._wall_s(), **lengths}
        final = self.checkpoints.write(progress, contexts, more)
        usable = goes_on_from(progress.round_number, rounds, rounds + 1, evaluation)
        before = self.checkpoints.of_round(progress.round_number - 1)
        self.checkpoints.remove(but={final} if usable else {final, before})

    def keep_best(self, model: Arrays, round_number: int) -> None:
        """Replaces the best model."""
        content = save({k: np.asarray(v, order="C") for k, v in model.items()}, {"round": str(round_number)})
        with _writing():
            write_atomically(self.path / BEST, content)

    def finish(self, model: Arrays) -> None:
        """Writes the model and the joined clients.parquet; marks the run as finished."""
        with _writing():
            self.parts.join(self.path / "clients.parquet")
            content = save({k: np.asarray(v, order="C") for k, v in model.items()})
            if self.training:
                write_atomically(self.path / "model.safetensors", content)
            sync(self.path)
            self._write_info("finished")
            shutil.rmtree(self.parts.folder)

    def abandon(self, status: Literal["stopped", "failed"]) -> None:
        """Writes into run.json how the run ended early.

        A new run that has finished no round is removed up to the lock, so that the next command can use the
        directory.
        """
        if not self._begun:
            return
        with contextlib.suppress(OSError, RunError):
            if not self._new:
                self._write_info(status)
                return
            self.rounds.close()
            self.timing.close()
            tables = ("rounds.csv", "timing.csv", "client_scores.csv", "class_scores.csv")
            for name in ("config.yaml", "run.json", *tables, "front.json", "cost.json", BEST):
                (self.path / name).unlink(missing_ok=True)
            for folder in (self.parts.folder, self.checkpoints.path):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Releases the lock."""
        self.rounds.close()
        self.timing.close()
        for table in self.parts_of_tests.values():
            table.close()
        self._lock.close()

    def _wall_s(self) -> float:
        return self._earlier_wall_s + time.perf_counter() - self._start_wall_s

    def _write_info(self, status: str) -> None:
        info = {
            "status": status,
            "config_hash": self.experiment.hash(),
            "settings_hash": self.experiment.hash(with_sources=False),
            "sources": dict(self.experiment.sources),
            "git": self._git,
            "seed": self.experiment.seed,
            **ends_of(self.experiment.resolved()),
            "training": self.training,
            "scores": dict(self.scores),
            "version": version_of(),
            "packages": {name: version_of(name) for name in PACKAGES},
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processor": platform.machine(),
            **({} if self.costs is None else {"cost": self.costs.content}),
            "wall_s": round(self._wall_s(), 3),
            **self.notes,
        }
        write_status(self.path / "run.json", info)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Within the block a write that fails ends the run with an error that names the file."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {error.filename}: {error.strerror}; the last checkpoint is safe: fix the cause, "
            "then resume from it by adding --resume to the same command"
        ) from error
