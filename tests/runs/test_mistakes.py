"""What a user reads at midnight: one clear line on stderr, the right exit code, no traceback."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import distreal_sim
from toys import TOY, toy

from distreal_sim.run import run

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(TOY))
    return path


@pytest.fixture
def command(config: Path) -> Run:
    """`distreal-sim run toy.yaml --grid serial ...` -> (exit code, stderr)."""

    def play(*arguments: object) -> tuple[int, str]:
        done = distreal_sim("run", config, "--grid", "serial", *arguments)
        assert done.stdout == "" or not done.code
        return done.code, done.stderr

    return play


def idx_gz(values: bytes, *shape: int) -> bytes:
    return gzip.compress(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("deadlne_s=3", r"toy.yaml.*: unknown key 'deadlne_s' = 3; did you mean 'deadline_s'\?"),
        (
            "local.batchsize=3",
            r"toy.yaml.*: unknown key 'local.batchsize' = 3; did you mean 'local.batch_size'\?",
        ),
        ("deadline_s=-3", r"toy.yaml.*: deadline_s = -3.* greater than 0"),
        ("rounds=many", r"toy.yaml.*: rounds = 'many' must be a whole number"),
        ("clients_per_round=99", r"toy.yaml.*clients_per_round \(99\) must not exceed n_clients \(12\)"),
        ("method.name=distrael", r"toy.yaml.*unknown method 'distrael'; did you mean 'distreal'\?"),
        ("method.name=my.Method", r"toy.yaml.*method 'my.Method' cannot be imported"),
        ("dataset.name=mnist dataset.data_dir=gone", r"train-images-idx3-ubyte.*gone/MNIST/raw.*get it from"),
        ("method.front=gone.json", r"front .*gone.json: no such file"),
        ("seed", r"override 'seed' must look like KEY=VALUE"),
    ],
)
def test_a_mistake_in_the_config(arguments: str, message: str, command: Run, tmp_path: Path) -> None:
    code, err = command("--out", tmp_path / "out", *arguments.split())
    assert code == 2
    assert re.fullmatch(f"error: .*{message}.*\n", err), err
    assert not list((tmp_path / "out").glob("[a-z]*")), "no run was begun"


def test_a_missing_config_file(command: Run, config: Path) -> None:
    config.unlink()
    assert command() == (2, f"error: {config}: no such file\n")


def test_a_truncated_gz(command: Run, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(idx_gz(os.urandom(28 * 28 * 9), 9, 28, 28)[:-100])
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(idx_gz(bytes(9), 9))
    code, err = command("--out", tmp_path / "out", "dataset.name=mnist", f"dataset.data_dir={tmp_path}")
    assert code == 2
    assert re.fullmatch(r"error: .*train-images-idx3-ubyte\.gz.*\n", err), err
    assert "get it from" in err or "download" in err, err


def test_a_front_made_for_another_model(command: Run, tmp_path: Path) -> None:
    run(toy(rounds=1), tmp_path / "narrow", grid="serial")
    front = tmp_path / "narrow" / "front.json"
    code, err = command("--out", tmp_path / "out", "model.width=8", f"method.front={front}")
    assert code == 2
    assert re.fullmatch(rf"error: front {front} was made for another model.*\n", err), err
    assert command("--out", tmp_path / "out", f"method.front={front}")[0] == 0


def test_a_directory_that_holds_a_run(command: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command("--out", out) == (0, "")
    code, err = command("--out", out)
    assert code == 2
    assert re.fullmatch(r"error: .*out already holds a run; add --resume.* or choose another --out\n", err)
    code, err = command("--out", out, "--resume", "local.lr=0.2")
    assert code == 2
    assert re.fullmatch(
        r"error: .*out holds the run of another config: local.lr is 0.1 there and 0.2 now; .*\n", err
    )
    assert command("--out", out, "--resume") == (0, "")


def test_a_directory_of_somebody_else(command: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("ten years of work")
    for more in ([], ["--resume"]):
        code, err = command("--out", tmp_path / "out", *more)
        assert code == 2
        assert re.fullmatch(r"error: .*out is not empty and holds no run; choose another --out\n", err)
    assert [p.read_text() for p in (tmp_path / "out").iterdir()] == ["ten years of work"]


def test_a_place_that_cannot_hold_a_run(command: Run, config: Path) -> None:
    for place in (config, config / "out", Path("/proc/out")):
        code, err = command("--out", place)
        assert code == 2
        assert re.fullmatch(f"error: {place} cannot hold a run: .*; choose another --out\n", err), err


def test_a_client_that_raises(command: Run, tmp_path: Path) -> None:
    """The traceback is the client's, and shown on demand."""
    failing = ("method.name=misbehaving.Raising", "method.at_round=2")
    code, err = command("--out", tmp_path / "one", *failing)
    assert code == 1
    assert re.fullmatch(
        r"error: client \d+, round 2, while training: ValueError: the sensor is on fire \(.*--verbose.*\)\n",
        err,
    )
    code, err = command("--out", tmp_path / "two", *failing, "--verbose")
    assert code == 1
    assert 'raise ValueError("the sensor is on fire")' in err


def test_waiting_for_a_client_without_capacity(command: Run, tmp_path: Path) -> None:
    still = ("profile.name=constant", "profile.level=0", "overrun=wait", "--quiet")
    code, err = command("--out", tmp_path / "out", *still)
    assert code == 1
    assert re.fullmatch(
        r"error: client \d+, round 1, .*too little capacity to finish step 1 of \d+ .*overrun is wait.*\n",
        err,
    ), err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize(
    "room_bytes", [8_000, *(pytest.param(room, marks=pytest.mark.slow) for room in (0, 40_000))]
)
def test_a_full_disk(room_bytes: int, command: Run, small_disk: Path, tmp_path: Path) -> None:
    """The first file that does not fit is named; with room again the run goes on as if nothing had been."""
    out, changes = small_disk / "out", ("rounds=6", "checkpoint_every=1", "evaluation.every=6")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20 - room_bytes - 4096))
    code, err = command("--out", out, *changes)
    if not room_bytes:
        assert (code, err.count("\n")) in [(1, 1), (2, 1)]
    else:
        assert code == 1
        assert re.fullmatch(
            rf"error: cannot write {out}/\S+: No space left on device; .*--resume.*\n", err
        ), err
    ballast.unlink()
    assert command("--out", out, *changes, "--resume") == (0, "")
    assert command("--out", tmp_path / "whole", *changes) == (0, "")
    assert (out / "rounds.csv").read_bytes() == (tmp_path / "whole" / "rounds.csv").read_bytes()
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_ray_cannot_start(config: Path, tmp_path: Path) -> None:
    """Its folder for temporary files is a file. In a process of its own, because this one may have a Ray."""
    environment: dict[str, Any] = {**os.environ, "RAY_TMPDIR": str(config)}
    main_ = [sys.executable, "-c", "from distreal_sim.cli import main; main()"]
    done = subprocess.run(
        [*main_, "run", str(config), "--grid", "ray", "--workers", "2", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: Ray cannot start: .*toy.yaml.*RAY_TMPDIR.*--grid serial.*\n", done.stderr)
