"""A run that was cut short, by whatever means, ends with the bytes of a run that was not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import distreal_sim
from toys import TOY

from distreal_sim.config import load_experiment
from distreal_sim.run import run

from .compare import assert_same_results

TESTS = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from distreal_sim.cli import main; main()"]


def write_config(folder: Path, **changes: Any) -> Path:
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump({**TOY, **changes}))
    return path


def own_environment() -> dict[str, str]:
    """Of this process, whose libraries' settings have a say in the last digits; the tests are importable."""
    path = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def uninterrupted(config: Path, out: Path) -> Path:
    run(load_experiment(config)[0], out, grid="serial")
    return out


def start_run(config: Path, out: Path, *more: str, linger_wall_s: float = 0.0) -> subprocess.Popen[str]:
    """`distreal-sim run` on the serial grid; Ctrl-C works even where the tests run in the background.

    linger_wall_s: how long a client of misbehaving.Lingering waits.
    """
    return subprocess.Popen(
        [*COMMAND, "run", "--quiet", str(config), "--grid", "serial", "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**own_environment(), "LINGER_WALL_S": str(linger_wall_s)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def wait_for_rounds(out: Path, n_rounds: int, process: subprocess.Popen[str]) -> None:
    while not (out / "rounds.csv").exists() or (out / "rounds.csv").read_bytes().count(b"\n") <= n_rounds:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.01)


def test_ctrl_c(tmp_path: Path) -> None:
    """Exit code 130 and a message that says how to go on; nothing on stdout, and no traceback.

    The 9 rounds that are left take at least 2 s, in which the signal arrives on a busy machine, too.
    """
    method = {"name": "misbehaving.Lingering"}
    config, out = write_config(tmp_path, method=method, rounds=14, checkpoint_every=3), tmp_path / "out"
    process = start_run(config, out, linger_wall_s=0.06)
    wait_for_rounds(out, 5, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "error: interrupted; the same command with --resume goes on from the last checkpoint\n"

    resumed = distreal_sim("run", "--quiet", config, "--grid", "serial", "--out", out, "--resume")
    assert (resumed.code, resumed.stderr) == (0, "")
    assert resumed.stdout.startswith(f"{out}: 14 rounds, 140 simulated s, test accuracy 0.")
    assert_same_results(out, uninterrupted(config, tmp_path / "whole"))


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    """A second command on the run that is going on leaves it alone; kill -9 frees the directory."""
    config, out = write_config(tmp_path, rounds=1000), tmp_path / "out"
    first = start_run(config, out)
    try:
        wait_for_rounds(out, 1, first)
        second = distreal_sim("run", config, "--grid", "serial", "--out", out, "--resume")
        assert second.code == 2
        assert second.stderr == f"error: {out} is in use by another run that has not ended\n"
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()
    experiment = load_experiment(config)[0]

    def stop(row: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(experiment, out, grid="serial", resume=True, callbacks=[stop])


@pytest.mark.parametrize(
    ("where", "n_kills", "rounds"),
    [
        ("anywhere", 1, 10),
        *(pytest.param(w, 10, 60, marks=pytest.mark.slow) for w in ("anywhere", "files")),
    ],
)
def test_kills(where: str, n_kills: int, rounds: int, tmp_path: Path) -> None:
    """Some lives end by SIGKILL at a random moment; clients remember, so their state is cut back too."""
    method = {"name": "misbehaving.Remembering"}
    config = write_config(tmp_path, method=method, rounds=rounds, checkpoint_every=3)
    out = tmp_path / "out"
    assert crash(config, out, seed=5, n_kills=n_kills, where=where) == n_kills
    assert_same_results(out, uninterrupted(config, tmp_path / "whole"))
    assert not list(out.rglob("*.tmp"))
    assert [p.name for p in (out / "checkpoint").iterdir()] == [f"r{rounds:06}"]


@pytest.mark.slow
def test_ten_kills_of_the_command(tmp_path: Path) -> None:
    """The same from the command line: kill -9 after round 2, 7, ..., 47."""
    config, out = write_config(tmp_path, rounds=60, checkpoint_every=3), tmp_path / "out"
    for kill in range(10):
        process = start_run(config, out, "--resume")
        wait_for_rounds(out, 5 * kill + 2, process)
        time.sleep(0.013 * kill)
        process.kill()
        process.communicate()
    process = start_run(config, out, "--resume")
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (0, "")
    assert_same_results(out, uninterrupted(config, tmp_path / "whole"))


def crash(config: Path, out: Path, *, seed: int, n_kills: int, where: str) -> int:
    """How many of the lives were cut short; see crash.py."""
    script = [sys.executable, str(Path(__file__).with_name("crash.py"))]
    arguments = [str(config), str(out), str(seed), str(n_kills), where]
    done = subprocess.run(
        script + arguments,
        capture_output=True,
        text=True,
        check=False,
        env=own_environment(),
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_a_directory_that_becomes_read_only(tmp_path: Path) -> None:
    """The error names it, the last checkpoint is whole, and once it can be written the run goes on.

    Nobody's files are read-only to root, so the run has none of root's privileges.
    """
    drop = shutil.which("setpriv")
    if os.geteuid() == 0 and drop is None:
        pytest.skip("root cannot give up its privileges without setpriv")
    unprivileged = [drop, "--bounding-set=-all"] if drop is not None and os.geteuid() == 0 else []
    method = {"name": "misbehaving.Lingering"}
    config, out = write_config(tmp_path, method=method, rounds=60, checkpoint_every=2), tmp_path / "out"
    process = subprocess.Popen(
        [*unprivileged, *COMMAND, "run", str(config), "--grid", "serial", "--out", str(out), "--quiet"],
        stderr=subprocess.PIPE,
        text=True,
        env={**own_environment(), "LINGER_WALL_S": "0.02"},
    )
    wait_for_rounds(out, 5, process)
    folders = [out, *(path for path in out.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(rf"error: cannot write {out}/\S+: Permission denied; .*--resume.*\n", stderr), stderr
    for folder in folders:
        if folder.exists():
            folder.chmod(0o755)
    run(load_experiment(config)[0], out, grid="serial", resume=True)
    assert_same_results(out, uninterrupted(config, tmp_path / "whole"))
