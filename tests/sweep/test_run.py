"""Sweeps that are played: once through, in pieces, in parallel, with cells that fail or kill their worker."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from clusters import raylets
from command import distreal_sim

from distreal_sim.base.errors import InputError
from distreal_sim.config import load_experiment
from distreal_sim.grids.ray.team import WorkersDiedError
from distreal_sim.results.directories import find_runs
from distreal_sim.run import run
from distreal_sim.sweep import run as sweep_run
from distreal_sim.sweep import workers
from distreal_sim.sweep.cells import Cell, load_cells
from distreal_sim.sweep.directory import open_directory
from distreal_sim.sweep.progress import SweepShown
from distreal_sim.sweep.run import Outcome, run_sweep

from .toy_sweep import COMMAND, write_sweep

ROOT = Path(__file__).parent.parent.parent


def play(path: Path, out: Path, n_workers: int | None = 1, **more: Any) -> Outcome:
    sweep, cells, _ = load_cells(path)
    return run_sweep(sweep, cells, out, n_workers=n_workers, **more)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def marks(out: Path) -> dict[str, tuple[int, int, str]]:
    """What tells a run that was trained again: inode, time and content of its wall-clock table."""
    files = [out / row["hash"] / "timing.csv" for row in rows(out) if row["status"] == "finished"]
    return {f.parent.name: (f.stat().st_ino, f.stat().st_mtime_ns, f.read_text()) for f in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy sweep, played in this process."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = play(write_sweep(folder), folder / "out")
    assert (outcome.n_cells, outcome.n_before, outcome.failures) == (8, 0, ())
    return folder / "out"


def test_a_cell_is_the_run_that_the_command_gives(whole: Path, tmp_path: Path) -> None:
    """Row by row: its directory holds the run of that config, and the row's numbers are in its rounds.csv."""
    overrides = {"drop": ["method.name=fedavg", "overrun=drop"], "thin": ["method.name=distreal"]}
    row = next(r for r in rows(whole) if (r["label"], r["seed"]) == ("drop", "8"))
    changes = f"profile.changes_per_round={row['profile.changes_per_round']}"
    experiment, _ = load_experiment(whole.parent / "toy.yaml", [*overrides["drop"], changes, "seed=8"])
    run(experiment, tmp_path / "run", grid="serial")
    for name in ("rounds.csv", "model.safetensors", "config.yaml"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / row["hash"] / name).read_bytes()
    with (tmp_path / "run" / "rounds.csv").open(newline="") as file:
        rounds = list(csv.DictReader(file))
    accuracies = [float(r["test_accuracy"]) for r in rounds]
    assert float(row["final_accuracy"]) == accuracies[-1]
    assert float(row["best_accuracy"]) == max(accuracies)
    assert row["full_accuracy"] == row["final_accuracy"]
    for column, part, whole_of in (
        ("macs_share", "macs", "macs_available"),
        ("completed_share", "n_completed", "n_selected"),
    ):
        share = sum(float(r[part]) for r in rounds) / sum(float(r[whole_of]) for r in rounds)
        assert float(row[column]) == pytest.approx(share, rel=1e-12)
    reached = [r["sim_s"] for r in rounds if float(r["test_accuracy"]) >= 0.15]
    assert row["sim_s_to_0.15"] == (reached[0] if reached else "")


def test_where_nobody_trains_the_whole_network_its_largest_trained_part_counts(tmp_path: Path) -> None:
    """0.3 of the capacity for the full width, which heterofl's level 1/2 fits."""
    slow = {"profile": {"name": "constant", "level": 0.3}}
    path = write_sweep(tmp_path, slow, grid={"method": ["heterofl"]}, seeds=[7], baseline=None)
    play(path, tmp_path / "out")
    (row,) = rows(tmp_path / "out")
    with (tmp_path / "out" / row["hash"] / "rounds.csv").open(newline="") as file:
        rounds = list(csv.DictReader(file))
    assert row["final_accuracy"] == rounds[-1]["submodel_accuracy"]
    assert float(row["best_accuracy"]) == max(float(r["submodel_accuracy"]) for r in rounds)
    assert row["full_accuracy"] == rounds[-1]["test_accuracy"] != row["final_accuracy"]
    reached = [r["sim_s"] for r in rounds if float(r["submodel_accuracy"]) >= 0.15]
    assert row["sim_s_to_0.15"] == (reached[0] if reached else "")


def test_rows_in_the_order_of_the_axes(whole: Path) -> None:
    found = [(r["label"], r["method"], r["profile.changes_per_round"], r["seed"]) for r in rows(whole)]
    assert found == [(m, m, c, s) for m in ("drop", "thin") for c in ("0", "3") for s in ("7", "8")]
    assert {row["status"] for row in rows(whole)} == {"finished"}
    assert any(row["sim_s_to_0.15"] for row in rows(whole)), "a target that is reached somewhere"


def test_a_second_call_does_nothing(whole: Path) -> None:
    before, table = marks(whole), (whole / "sweep.csv").read_bytes()
    outcome = play(whole.parent / "sweep.yaml", whole)
    assert (outcome.n_before, outcome.failures) == (8, ())
    assert (marks(whole), (whole / "sweep.csv").read_bytes()) == (before, table)


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_two_workers_give_the_same_table(whole: Path, tmp_path: Path) -> None:
    said: list[str] = []
    play(write_sweep(tmp_path), tmp_path / "out", 2, say=said.append)
    assert (tmp_path / "out" / "sweep.csv").read_bytes() == (whole / "sweep.csv").read_bytes()
    assert len(said) == 1
    assert said[0].startswith("8 cells to run, 2 at a time; a cell needs at most 5")


@pytest.mark.slow
def test_two_machines_give_the_same_table(whole: Path, tmp_path: Path, cluster: int) -> None:
    """One of them is lost when the first cell has ended, and what it was at goes on at the other."""
    head, other = raylets(cluster)

    class Kill(SweepShown):
        def ended(self, cell: Cell, failed: bool) -> None:
            if other.is_running():
                other.kill()

    said: list[str] = []
    address = f"127.0.0.1:{cluster}"
    play(write_sweep(tmp_path), tmp_path / "out", None, ray_address=address, say=said.append, show=Kill())
    assert (tmp_path / "out" / "sweep.csv").read_bytes() == (whole / "sweep.csv").read_bytes()
    assert head.is_running()
    assert not other.is_running() or other.status() == psutil.STATUS_ZOMBIE
    found = re.fullmatch(r"8 cells to run, (\d) at a time\b.*, the cluster has room for (\d)", said[0])
    assert found is not None, said[0]
    assert found[1] == found[2] in ("1", "2"), "a core each; a machine's memory decides whether it has room"


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_a_machine_that_does_not_see_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers say so before a cell begins: for want of a second disk, the file they look for is gone."""

    @contextlib.contextmanager
    def gone(prefix: str, dir: Path) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(name=str(dir / prefix))

    monkeypatch.setattr(workers, "NamedTemporaryFile", gone)
    with pytest.raises(InputError) as caught:
        play(write_sweep(tmp_path), tmp_path / "out", 2)
    where = f"the machine {socket.gethostname()} does not see {tmp_path / 'out'} as this one does"
    assert str(caught.value) == f"{where}: --out must be on a disk that all machines share"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", "sweep.csv", "sweep.yaml"}


def test_a_finished_sweep_needs_no_cluster(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "out")
    outcome = play(write_sweep(tmp_path), tmp_path / "out", ray_address="127.0.0.1:1")
    assert (outcome.n_before, outcome.failures) == (8, ())


@pytest.mark.parametrize(("on_gpu", "needs"), [(False, "a core and"), (True, "a core, a GPU and")])
def test_a_cluster_without_room(on_gpu: bool, needs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_run, "room_for", lambda *needs: 0)
    with pytest.raises(InputError, match=f"^--ray-address there:1: no machine there has {needs} the 2 kB of"):
        sweep_run._room_there(None, "there:1", 3, 2000, on_gpu, lambda line: None)


def test_no_machine_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "room_for", lambda *needs: 0)
    with pytest.raises(WorkersDiedError, match=r"^no machine is left that has room for a cell$"):
        workers._check_room(workers.Room(2))
    monkeypatch.setattr(workers, "room_for", lambda *needs: 1)
    workers._check_room(workers.Room(2))


def test_more_seeds_and_methods_keep_what_is_there(whole: Path, tmp_path: Path) -> None:
    """A sweep that grew plays the new cells only; one that shrank forgets runs, but keeps them."""
    shutil.copytree(whole, tmp_path / "out")
    before = marks(tmp_path / "out")
    outcome = play(write_sweep(tmp_path, seeds=[7, 8, 9]), tmp_path / "out")
    assert (outcome.n_cells, outcome.n_before) == (12, 8)
    assert before.items() <= marks(tmp_path / "out").items()
    outcome = play(write_sweep(tmp_path, seeds=[9]), tmp_path / "out")
    assert (outcome.n_cells, outcome.n_before) == (4, 4)
    assert {r.seed for r in find_runs([tmp_path / "out"])} == {9}


class Stop(SweepShown):
    """Ctrl-C when the third cell has begun and gone on for some rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.n_begun = self.n_looks = 0

    def running(self, cells: object) -> None:
        self.n_begun += 1

    def look(self) -> None:
        self.n_looks += self.n_begun == 3
        if self.n_looks == 3:
            raise KeyboardInterrupt


def test_an_interrupted_cell_goes_on_from_its_checkpoint(whole: Path, tmp_path: Path) -> None:
    """The rounds of the third cell that its checkpoint holds are not played again."""
    path, out = write_sweep(tmp_path), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        play(path, out, show=Stop())
    assert [r["status"] for r in rows(out)].count("finished") == 2
    before = marks(out)
    (half,) = (p for p in out.glob("*/checkpoint/r*") if not (p.parent.parent / "model.safetensors").exists())
    timing = (half.parent.parent / "timing.csv").read_text().splitlines()[:3]
    assert play(path, out).n_before == 2
    assert before.items() <= marks(out).items()
    assert (half.parent.parent / "timing.csv").read_text().splitlines()[:3] == timing
    assert (out / "sweep.csv").read_bytes() == (whole / "sweep.csv").read_bytes()


@pytest.mark.parametrize("n_workers", [1, pytest.param(2, marks=[pytest.mark.slow, pytest.mark.ray])])
def test_failed_cells_are_reported_and_tried_again(n_workers: int, tmp_path: Path) -> None:
    """Clients raise in round 9 of 4, which never comes, or in round 2, which does."""
    methods = {
        "calm": {"method.name": "misbehaving.Raising", "method.at_round": 9},
        "burning": {"method.name": "misbehaving.Raising", "method.at_round": 2},
    }
    path = write_sweep(tmp_path, grid={"method": methods}, baseline=None)
    for _ in (1, 2):
        outcome = play(path, tmp_path / "out", n_workers)
        assert [cell.place.variant for cell, _ in outcome.failures] == ["burning"] * 2
        assert all("the sensor is on fire" in failure.message for _, failure in outcome.failures)
        status = [(r["label"], r["status"], r["final_accuracy"] != "") for r in rows(tmp_path / "out")]
        assert status == [("calm", "finished", True)] * 2 + [("burning", "failed", False)] * 2
        errors = list((tmp_path / "out" / "errors").iterdir())
        assert len(errors) == 2
        assert all("Traceback" in path.read_text() for path in errors)
    assert outcome.n_before == 2


class KillOne(SweepShown):
    """Kills one worker, whichever, once a cell has played six rounds."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out, self.n_killed = out, 0

    def look(self) -> None:
        tables = [path.read_bytes().count(b"\n") for path in self.out.glob("*/rounds.csv")]
        if not self.n_killed and max(tables, default=0) > 6:
            family = psutil.Process().children(recursive=True)
            workers = [child for child in family if child.name().startswith("ray::_Worker")]
            workers[0].kill()
            self.n_killed = 1


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_a_cell_whose_worker_was_killed_goes_on_in_another(tmp_path: Path) -> None:
    """The two cells end with the bytes that they have without a death."""
    path = write_sweep(
        tmp_path, {"rounds": 150}, grid={"method": ["fedavg", "small"]}, seeds=[7], baseline=None
    )
    show = KillOne(tmp_path / "out")
    assert play(path, tmp_path / "out", 2, show=show).failures == ()
    assert show.n_killed == 1
    play(path, tmp_path / "calm")
    for row in rows(tmp_path / "calm"):
        rounds = [tmp_path / out / row["hash"] / "rounds.csv" for out in ("out", "calm")]
        assert rounds[0].read_bytes() == rounds[1].read_bytes()
    assert (tmp_path / "out" / "sweep.csv").read_bytes() == (tmp_path / "calm" / "sweep.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_a_cell_that_always_kills_its_worker_fails(tmp_path: Path) -> None:
    """The other cell is played to its end."""
    methods = {"deadly": {"method.name": "misbehaving.Killing", "method.at_round": 2}, "calm": {}}
    path = write_sweep(tmp_path, grid={"method": methods}, baseline=None, seeds=[7])
    outcome = play(path, tmp_path / "out", 2)
    assert [cell.place.variant for cell, _ in outcome.failures] == ["deadly"]
    assert outcome.failures[0][1].message.startswith("its worker died 3 times")
    assert [row["status"] for row in rows(tmp_path / "out")] == ["failed", "finished"]


def test_a_mistake_that_only_the_data_show_stops_everything(tmp_path: Path) -> None:
    """n_clients beyond the digits' 1,437 training examples; no cell was begun, the directory is free."""
    path = write_sweep(tmp_path, grid={"n_clients": [12, 5000]}, baseline=None)
    with pytest.raises(InputError, match=r"cell 'n_clients=5000, seed 7': .*5000"):
        play(path, tmp_path / "out")
    assert [found.name for found in (tmp_path / "out").iterdir()] == [".lock"]


def test_directories_that_are_refused(whole: Path, tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    sweep, cells, _ = load_cells(path)
    with (
        open_directory(tmp_path / "out", sweep, cells),
        pytest.raises(InputError, match="out is in use by another sweep that has not ended"),
    ):
        play(path, tmp_path / "out")
    with pytest.raises(InputError, match="is not empty and holds no sweep; choose another --out"):
        play(path, tmp_path)


def start(path: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """`distreal-sim sweep`; Ctrl-C works even where the tests run in the background."""
    return subprocess.Popen(
        [*COMMAND, str(path), "--out", str(out), "--quiet", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def wait_for(out: Path, n_finished: int, process: subprocess.Popen[str]) -> None:
    while not (out / "sweep.csv").exists() or len(marks(out)) < n_finished:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.02)


def survive(path: Path, out: Path, at: int, how: signal.Signals, *more: str) -> tuple[int, str]:
    """Ends the command by a signal when `at` cells are finished; those must never be trained again."""
    process = start(path, out, *more)
    wait_for(out, at, process)
    finished = marks(out)
    process.send_signal(how)
    _, stderr = process.communicate()
    done = start(path, out, *more)
    stdout, error = done.communicate()
    assert (done.returncode, error) == (0, "")
    assert stdout.startswith(f"{out / 'sweep.csv'}: ")
    assert finished.items() <= marks(out).items()
    return process.returncode, stderr


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_kill_9(n_workers: str, whole: Path, tmp_path: Path) -> None:
    """kill -9 after three of eight cells; then the same command finishes the sweep, with the same table."""
    out = tmp_path / "out"
    code, _ = survive(write_sweep(tmp_path), out, 3, signal.SIGKILL, "--workers", n_workers)
    assert code == -signal.SIGKILL
    assert (out / "sweep.csv").read_bytes() == (whole / "sweep.csv").read_bytes()
    assert not list(out.rglob("*.tmp"))


@pytest.mark.slow
def test_ctrl_c(whole: Path, tmp_path: Path) -> None:
    """Exit code 130 and one line, with workers in other processes."""
    out = tmp_path / "out"
    code, stderr = survive(write_sweep(tmp_path), out, 2, signal.SIGINT, "--workers", "2")
    assert (code, stderr) == (130, "error: interrupted; the same command goes on where it stopped\n")
    assert (out / "sweep.csv").read_bytes() == (whole / "sweep.csv").read_bytes()


def test_the_command_reports_failures(tmp_path: Path) -> None:
    """Exit code 1, a line for every failed cell, and where the tracebacks are."""
    methods = {"burning": {"method.name": "misbehaving.Raising", "method.at_round": 1}}
    path, out = write_sweep(tmp_path, grid={"method": methods}, baseline=None, seeds=[7]), tmp_path / "out"
    done = distreal_sim("sweep", path, "--out", out, "--workers", "1", "--quiet")
    assert (done.code, done.stdout) == (1, "")
    first, last = done.stderr.splitlines()
    assert first.startswith("failed: burning, seed 7: client ")
    assert last == (
        "error: 1 of 1 cells failed; the same command tries them again (tracebacks: " + f"{out / 'errors'})"
    )


FIVE_METHODS = ROOT / "configs" / "sweeps" / "digits_methods.yaml"


@pytest.fixture(scope="module")
def five_methods_whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of 15 runs of 20 rounds that nobody interrupted."""
    out = tmp_path_factory.mktemp("five")
    play(FIVE_METHODS, out)
    return (out / "sweep.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_five_methods_three_seeds_killed_twice(
    n_workers: str, five_methods_whole: bytes, tmp_path: Path
) -> None:
    """The same sweep with kill -9 after 4 and after 9 cells, and called again each time."""
    path, out = FIVE_METHODS, tmp_path / "out"
    process = start(path, out, "--workers", n_workers)
    wait_for(out, 4, process)
    first = marks(out)
    process.kill()
    process.communicate()
    survive(path, out, 9, signal.SIGKILL, "--workers", n_workers)
    assert first.items() <= marks(out).items()
    assert (out / "sweep.csv").read_bytes() == five_methods_whole
    assert len(marks(out)) == 15
