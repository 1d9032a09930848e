"""What a large fleet costs: start-up, memory a client, and a round with 10 of 100 and of 100,000 clients.

    python benchmarks/scale.py [--rounds 20] [--cohort 10] [--json FILE]

The digits dealt out with partition bootstrap, 20 examples a client, so that both fleets do the same work in a
round; each fleet in a process of its own. `start-up` is from the import of the package to the end of round 1
(wall and processor time), `round` the median processor time of the trained rounds after it, `memory` the
resident set at their end (server and clients in one process); its difference is divided by the clients by
which the fleets differ. `clock` is a whole run of --no-training, start-up included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

FLEETS = (100, 100_000)

CONFIG: dict[str, Any] = {
    "name": "scale",
    "seed": 1,
    "deadline_s": 10.0,
    "dataset": {"name": "digits"},
    "partition": {"name": "bootstrap", "examples": 20, "alpha": 0.5},
    "model": {"name": "small_cnn"},
    "local": {"epochs": 1, "batch_size": 8},
    "profile": {"name": "markov", "levels": [0.03, 0.1, 0.3, 1.0, 3.0], "changes_per_round": 2},
    "method": "distreal",
    "evaluation": {"every": 1000},
    "checkpoint_every": 1000,
}


def one_fleet(n_clients: int, rounds: int, cohort: int) -> dict[str, float]:
    """The measurements of one fleet, in this process."""
    begun_s = time.perf_counter()
    from distreal_sim.config import parse_experiment
    from distreal_sim.run import run

    seen: list[tuple[float, float]] = []

    def on_round(row: object) -> None:
        seen.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        plain = {**CONFIG, "n_clients": n_clients, "clients_per_round": cohort, "rounds": rounds}
        trained = parse_experiment(plain, source="scale")
        run(trained, Path(folder) / "trained", grid="serial", callbacks=[on_round])
        rss_bytes = psutil.Process().memory_info().rss
        timed = parse_experiment({**plain, "clients_per_round": 100, "rounds": 1000}, source="scale")
        clock_s = time.perf_counter()
        run(timed, Path(folder) / "timed", training=False)
    return {
        "n_clients": n_clients,
        "startup_wall_s": seen[0][0] - begun_s,
        "startup_cpu_s": seen[0][1],
        "round_cpu_ms": 1000 * median(b[1] - a[1] for a, b in pairwise(seen)),
        "rss_mib": rss_bytes / 2**20,
        "clock_wall_s": time.perf_counter() - clock_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="trained rounds")
    parser.add_argument("--cohort", type=int, default=10, help="clients a trained round")
    parser.add_argument("--json", type=Path, help="all measurements")
    parser.add_argument("--fleet", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fleet:
        print(json.dumps(one_fleet(options.fleet, options.rounds, options.cohort)))
        return
    table = Table(
        title=f"{options.cohort} clients a round (start-up under 10 s, less than 1 kB a client wanted)"
    )
    for head in (
        "clients",
        "start-up s",
        "CPU s",
        "round CPU ms",
        "memory MiB",
        "clock: 1,000 rounds of 100, s",
    ):
        table.add_column(head, justify="right")
    records = []
    for n_clients in FLEETS:
        command = [sys.executable, __file__, "--fleet", str(n_clients)]
        command += ["--rounds", str(options.rounds), "--cohort", str(options.cohort)]
        out = subprocess.run(command, check=True, capture_output=True, text=True)
        record = json.loads(out.stdout.splitlines()[-1])
        records.append(record)
        _, startup_s, startup_cpu_s, round_ms, rss_mib, clock_s = record.values()
        table.add_row(
            f"{n_clients:,}",
            f"{startup_s:.1f}",
            f"{startup_cpu_s:.1f}",
            f"{round_ms:.0f}",
            f"{rss_mib:.0f}",
            f"{clock_s:.1f}",
        )
    console = Console(width=100)
    console.print(table)
    small, large = records
    grown = 2**20 * (large["rss_mib"] - small["rss_mib"]) / (large["n_clients"] - small["n_clients"])
    console.print(f"memory a client: {grown:,.0f} bytes")
    console.print(f"cost of a round: {large['round_cpu_ms'] / small['round_cpu_ms']:.2f} times as much")
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
