"""Stock Flower on this machine: a SuperLink of its own, with its own home and ports, on loopback only."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).parents[3]
N_CLIENTS = 12
GIVE_UP_WALL_S = 400


@dataclass(frozen=True)
class StockFlower:
    """`flwr run .` in the project's folder. home: Flower's. plugins: a folder on the apps' Python path."""

    home: Path
    plugins: Path
    env: dict[str, str]

    def run(self, *, config: str | Path, out: Path, overrides: str = "", n_nodes: int = N_CLIENTS) -> str:
        """The run's log, without colours."""
        command = [
            "flwr", "run", ".", "--stream",
            "--federation-config", f"num-supernodes={n_nodes} client-resources-num-cpus=1",
            "--run-config", f'config="{config}" overrides="{overrides}" out="{out}"',
        ]  # fmt: skip
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=GIVE_UP_WALL_S,
        )
        return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)

    def end(self) -> None:
        """Ends the SuperLink that the first `run` started, and what it started, by their process ids."""
        log = str(self.home / "local-superlink" / "superlink.log")
        links = [p for p in psutil.process_iter(["cmdline"]) if log in (p.info["cmdline"] or ())]
        family = list(links)
        for link in links:
            with contextlib.suppress(psutil.NoSuchProcess):
                family += link.children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(family, timeout=20)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=20)


@pytest.fixture(scope="session")
def stock_flower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockFlower]:
    """One SuperLink for the tests; it is started by the first run and ended whatever happens."""
    home, plugins = tmp_path_factory.mktemp("flwr"), tmp_path_factory.mktemp("plugins")
    http_port, control_port = _free_ports(2)
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(plugins),
        "FLWR_HOME": str(home),
        "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": http_port,
        "FLWR_LOCAL_CONTROL_API_PORT": control_port,
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": "local",  # not that of somebody's cluster on this machine
        "RAY_worker_niceness": "0",  # or Flower's clients stand still on a busy machine
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray then stays on loopback, on Linux too
    }
    flower = StockFlower(home, plugins, env)
    try:
        yield flower
    finally:
        flower.end()


def _free_ports(n: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [str(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports
