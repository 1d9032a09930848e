"""The determinism matrix: who computes, what dies, and which method; one digest for each method."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from toys import TOY

from distreal_sim.config import load_experiment
from distreal_sim.grids.ray.cluster import ray_instance
from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow

from .torment import kill_a_worker, lines, torment

METHODS = ("distreal", "fednova", "heterofl", "depthfl")


def digest(out: Path) -> str:
    """Of every result file; that of clients.parquet by its values."""
    clients = pq.read_table(out / "clients.parquet").to_pydict()
    content = [(out / name).read_bytes() for name in ("rounds.csv", "model.safetensors", "config.yaml")]
    return hashlib.sha256(b"".join([*content, repr(clients).encode()])).hexdigest()


def write_config(folder: Path, method: str) -> Path:
    changes: dict[str, Any] = {"method": {"name": method}, "rounds": 60, "checkpoint_every": 3}
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump({**TOY, **changes, "evaluation": {"every": 15}}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_one_digest(method: str, tmp_path: Path) -> None:
    """Serial and Ray with 1, 2 and 4 workers; left alone, a worker killed, the driver killed and resumed.

    The serial grid has no worker to kill.
    """
    config = write_config(tmp_path, method)
    experiment, _ = load_experiment(config)
    digests: dict[tuple[str, str], str] = {}

    def die_soon(row: RoundRow) -> None:
        if row.round == 4:
            threading.Timer(0.02, kill_a_worker, [psutil.Process()]).start()

    run(experiment, tmp_path / "serial", grid="serial")
    digests["serial", "left alone"] = digest(tmp_path / "serial")
    with ray_instance(4):
        for n in (1, 2, 4):
            for fate, on_round in (("left alone", lambda row: None), ("worker killed", die_soon)):
                out = tmp_path / f"{n} {fate}"
                run(experiment, out, grid="ray", n_workers=n, callbacks=[on_round])
                digests[f"ray {n}", fate] = digest(out)
    commands = {"serial": ["serial"]} | {f"ray {n}": ["ray", "--workers", str(n)] for n in (1, 2, 4)}
    for name, options in commands.items():
        out = tmp_path / f"{name} driver killed"
        command = ["run", str(config), "--out", str(out), "--resume", "--grid", *options]
        assert torment(command, partial(lines, out / "rounds.csv"), ["driver"], seed=1, gap=5) == 1
        digests[name, "driver killed"] = digest(out)
    assert len(digests) == 11
    assert set(digests.values()) == {digests["serial", "left alone"]}, digests
