"""Runs that a signal ends, and what is left of runs that ended before they had a round."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from misbehaving import Raising
from toys import toy

from distreal_sim.base.errors import ClientFailedError
from distreal_sim.config import load_experiment
from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow

from .compare import assert_same_results
from .test_resume import COMMAND, start_run, uninterrupted, wait_for_rounds, write_config


@pytest.fixture
def hangup_heard() -> Iterator[None]:
    """Processes that are started hear SIGHUP, though the tests themselves may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup_heard")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
@pytest.mark.slow
def test_a_signal_is_like_ctrl_c(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """One line, its exit code, `stopped`, a checkpoint of the last finished round; then the same bytes."""
    config, out = write_config(tmp_path, rounds=30, checkpoint_every=1000), tmp_path / "out"
    process = start_run(config, out, "--quiet")
    wait_for_rounds(out, 5, process)
    process.send_signal(number)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (code, "")
    name = signal.Signals(number).name
    assert stderr.splitlines()[-1] == (  # where rounds are slow, lines on the progress stand before it
        f"error: ended by {name}; the same command with --resume goes on from the last checkpoint"
    )
    assert json.loads((out / "run.json").read_text())["status"] == "stopped"
    (saved,) = (out / "checkpoint").iterdir()
    assert int(saved.name[1:]) >= 5

    run(load_experiment(config)[0], out, grid="serial", resume=True)
    assert_same_results(out, uninterrupted(config, tmp_path / "whole"))


@pytest.mark.slow
def test_nohup(tmp_path: Path) -> None:
    """A signal that is ignored stays ignored: the run outlives its terminal."""
    config, out = write_config(tmp_path, rounds=30), tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "run", str(config), "--grid", "serial", "--quiet", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None,
    )
    wait_for_rounds(out, 2, process)
    process.send_signal(signal.SIGHUP)
    assert process.communicate()[1] == ""
    assert process.returncode == 0


@pytest.mark.slow
def test_a_signal_ends_a_run_on_ray(tmp_path: Path) -> None:
    """No C++ stack, no process of Ray is left, and the checkpoint is that of the last finished round."""
    config, out = write_config(tmp_path, rounds=10_000, checkpoint_every=100_000), tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "run", str(config), "--grid", "ray", "--workers", "2", "--quiet", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_rounds(out, 3, process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout, stderr.count("\n")) == (143, "", 1)
    assert stderr.startswith("error: ended by SIGTERM; ")
    assert psutil.wait_procs(family, timeout=20)[1] == []
    assert [path.name for path in (out / "checkpoint").iterdir()] != []


@pytest.mark.slow
def test_a_signal_while_ray_starts(tmp_path: Path) -> None:
    """It is answered once Ray has started: one line, and no process of Ray is left."""
    config, out = write_config(tmp_path, rounds=10_000), tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "run", str(config), "--grid", "ray", "--workers", "1", "--quiet", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    driver = psutil.Process(process.pid)
    while not (family := driver.children(recursive=True)):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout, stderr.count("\n")) == (143, "", 1)
    assert stderr.startswith("error: ended by SIGTERM; ")
    assert psutil.wait_procs(family, timeout=20)[1] == []


CHANGING = """
import os
from pathlib import Path
from distreal_sim.methods.fedavg import FedAvg

class Changing(FedAvg):
    def train(self, client, job):
        if job.round.number == 2:
            Path(__file__).write_text(Path(__file__).read_text() + "# other")
            os._exit(3)
        return super().train(client, job)
"""


@pytest.mark.slow
def test_a_worker_in_place_of_another_checks_the_sources(tmp_path: Path) -> None:
    """The one that dies in round 2 leaves other code behind, which the next one is not to train with."""
    config, out = write_config(tmp_path, method="changing.Changing"), tmp_path / "out"
    (tmp_path / "changing.py").write_text(CHANGING)
    done = subprocess.run(
        [*COMMAND, "run", str(config), "--grid", "ray", "--workers", "1", "--quiet", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: changing.py was changed after the command began")


def test_interrupted_between_checkpoints(tmp_path: Path) -> None:
    """After round 3 of 4 with a checkpoint every 1,000: it goes on with round 4."""

    def interrupt(row: RoundRow) -> None:
        if row.round == 3:
            raise KeyboardInterrupt

    experiment = toy(checkpoint_every=1000)
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "out", grid="serial", callbacks=[interrupt])
    played: list[int] = []
    run(
        experiment, tmp_path / "out", grid="serial", resume=True, callbacks=[lambda r: played.append(r.round)]
    )
    assert played == [4]
    run(experiment, tmp_path / "whole", grid="serial")
    assert_same_results(tmp_path / "out", tmp_path / "whole")


def test_a_failure_before_the_first_round_leaves_nothing(tmp_path: Path) -> None:
    """The mended command finds the directory free; after round 1 there is something to resume."""
    with pytest.raises(ClientFailedError):
        run(toy(method=Raising(at_round=1)), tmp_path / "out", grid="serial")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
    with pytest.raises(ClientFailedError):
        run(toy(method=Raising(at_round=2)), tmp_path / "out", grid="serial")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"


def test_a_version_that_cannot_be_found_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails while the first files are written."""
    from distreal_sim.simulation import run_directory

    def fail(name: str = "") -> str:
        raise LookupError("no version")

    monkeypatch.setattr(run_directory, "version_of", fail)
    with pytest.raises(LookupError):
        run(toy(), tmp_path / "out", grid="serial")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
    monkeypatch.undo()
    run(toy(rounds=1), tmp_path / "out", grid="serial")
