"""Whether a long run's memory stays flat: resident megabytes of the driver and of its workers.

    python benchmarks/memory.py --minutes 60 --csv memory.csv

Plays configs/digits.yaml (or --config), with as many rounds as fit into the minutes, by the command that
users type, on the Ray grid, and looks at its processes every few seconds from outside. Everything of a run
takes part: evaluation, rows, checkpoints. The drift is the largest distance of a later sample from the mean
of the first samples after the warm-up, as a share of that mean; the slope is that of a straight line through
the samples after the warm-up. `own` leaves out shared memory (USS): Ray's object store is mapped into every
process, and a page of it counts as resident in each that has touched it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

COMMAND = [sys.executable, "-c", "from distreal_sim.cli import main; main()", "run"]
CONFIG = Path(__file__).parent.parent / "configs" / "digits.yaml"
FOREVER = 100_000_000
"""Rounds: more than anybody waits for."""

COLUMNS = ("driver", "driver own", "workers", "workers own", "ray")
"""Sums over processes in MB: the command, the actors, and what else Ray has started."""

SHOWN = 13
"""Lines of the table that is printed; --csv keeps every sample."""

MB = 1e6


def sample(driver: psutil.Process) -> list[float]:
    """Megabytes, one number for each of COLUMNS."""
    family: dict[str, list[psutil.Process]] = {"driver": [driver], "workers": [], "ray": []}
    for child in driver.children(recursive=True):
        try:
            family["workers" if child.name().startswith("ray::Worker") else "ray"].append(child)
        except psutil.NoSuchProcess:
            continue
    own = {name: sum(p.memory_full_info().uss for p in family[name]) / MB for name in ("driver", "workers")}
    rss = {name: sum(p.memory_info().rss for p in group) / MB for name, group in family.items()}
    return [rss["driver"], own["driver"], rss["workers"], own["workers"], rss["ray"]]


def watch(options: argparse.Namespace, folder: Path) -> list[list[float]]:
    """Samples [wall_s, round, *COLUMNS] from the first recorded round until the minutes are over."""
    out = folder / "run"
    command = [*COMMAND, str(options.config), f"rounds={FOREVER}", "--out", str(out), "--quiet"]
    command += ["--grid", "ray", "--workers", str(options.workers), *options.overrides]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def prepare() -> None:
        os.nice(options.nice)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored

    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, preexec_fn=prepare)
    samples: list[list[float]] = []
    begin_wall_s, n_lines, position = 0.0, 0, 0
    try:
        while not samples or time.monotonic() - begin_wall_s < 60 * options.minutes:
            time.sleep(options.every if samples else 0.1)
            if process.poll() is not None:
                raise SystemExit(f"the run ended before its time: {process.communicate()[1]}")
            if not (out / "rounds.csv").exists():
                continue
            with (out / "rounds.csv").open("rb") as file:
                file.seek(position)
                n_lines += file.read().count(b"\n")
                position = file.tell()
            if n_lines < 2:  # the header
                continue
            begin_wall_s = begin_wall_s or time.monotonic()
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes = sample(psutil.Process(process.pid))
                samples.append([time.monotonic() - begin_wall_s, n_lines - 1, *sizes])
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    return samples


def table(samples: Sequence[Sequence[float]], warm_up_wall_s: float) -> Table:
    """Some of the samples, and below them what became of each column after the warm-up."""
    after = np.array([row for row in samples if row[0] >= warm_up_wall_s])
    rounds = int(samples[-1][1])
    result = Table(title=f"resident MB over {rounds:,} rounds; warm-up {warm_up_wall_s / 60:g} minutes")
    for head in ("minute", "round", *COLUMNS):
        result.add_column(head, justify="right")
    for index in np.linspace(0, len(samples) - 1, min(SHOWN, len(samples))).astype(int):
        wall_s, number, *values = samples[index]
        result.add_row(f"{wall_s / 60:.1f}", f"{number:,.0f}", *(f"{size:.1f}" for size in values))
    hours, columns = after[:, 0] / 3600, after[:, 2:].T
    first = [column[: max(1, len(after) // 20)].mean() for column in columns]
    drifts = [np.abs(column - start).max() / start for column, start in zip(columns, first, strict=True)]
    slopes = [np.polyfit(hours, column, 1)[0] if len(after) > 1 else 0.0 for column in columns]
    result.add_section()
    result.add_row("after", "warm-up", *(f"{start:.1f}" for start in first))
    result.add_row("max", "drift", *(f"{100 * drift:.2f} %" for drift in drifts))
    result.add_row("slope", "MB/h", *(f"{slope:+.1f}" for slope in slopes))
    return result


def main() -> None:
    """Watches one run and prints; leaves no files but --csv."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE, as of the run command")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--minutes", type=float, default=60.0, help="from the first round on")
    parser.add_argument("--warm-up", type=float, help="minutes [default: a tenth of --minutes]")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--nice", type=int, default=10, help="added to the priority of the run's processes")
    parser.add_argument("--csv", type=Path, help="write every sample to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = watch(options, Path(folder))
    if options.csv is not None:
        with options.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["wall_s", "round", *(f"{name.replace(' ', '_')}_mb" for name in COLUMNS)])
            writer.writerows([f"{value:.3f}" for value in row] for row in samples)
    warm_up = options.minutes / 10 if options.warm_up is None else options.warm_up
    Console().print(table(samples, 60 * warm_up))


if __name__ == "__main__":
    main()
