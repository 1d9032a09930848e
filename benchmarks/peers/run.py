"""distreal-sim beside pfl, fluke, Flower and a bare PyTorch loop: the same work, in turns, on two cores.

    python benchmarks/peers/run.py --data-dir DIR [--minutes 15] [--docs lab/performance.md]

DIR holds cifar-10-batches-py, MNIST/raw and QMNIST/raw. The first call makes a virtual environment per peer
in --cache, which takes minutes and some GB. In a turn every contender runs once; the ratios are those of runs
of one turn. A run that would probably end after --minutes is not begun. Writes peers.csv and peers.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from facts import in_use, machine
from measure import run as run_command
from prepare import REQUIREMENTS, default_cache, environment, plain_data
from report import Run, insert, median_rounds, table, write_csv
from workloads import WORKLOADS

HERE = Path(__file__).parent
CONTENDERS: dict[str, list[str]] = {
    "ours": ["on_ours.py", "--processes", "2"],
    "ideal": ["on_ideal.py", "--processes", "2"],
    "pfl2": ["on_pfl.py", "--processes", "2"],
    "ours_bfloat16": ["on_ours.py", "--processes", "2", "--precision", "bfloat16"],
    "pfl1": ["on_pfl.py", "--processes", "1"],
    "fluke": ["on_fluke.py", "--processes", "1"],
    "flower": ["on_flower.py", "--processes", "2"],
}
"""Script and options; the nearest rivals first, because later ones are left out when time is up."""

TAKE_PART = {"d": set(CONTENDERS) - {"ours_bfloat16"}, "e": {"ours", "ideal", "ours_bfloat16"}}
"""Who has a workload, if not all: (d) has no convolution, and no peer has (e)."""

TIMEOUT_S = 300.0


def commands(
    options: argparse.Namespace, pythons: dict[str, Path], data: Path
) -> list[tuple[str, str, list[str]]]:
    """(workload, contender, command) of one turn."""
    turn = []
    for name in options.workloads:
        for contender in options.contenders:
            if contender not in TAKE_PART.get(name, CONTENDERS):
                continue
            script, *others = CONTENDERS[contender]
            if name == "e" and contender == "ideal":
                script = "on_replay.py"
            python = pythons.get(script[3:-3], Path(sys.executable))
            command = [str(python), str(HERE / script), name, "--data", str(data), *others]
            for key in ("rounds", "clients"):
                if getattr(options, key) is not None:
                    command += [f"--{key}", str(getattr(options, key))]
            turn.append((name, contender, command))
    return turn


def measure(
    options: argparse.Namespace, turn: list[tuple[str, str, list[str]]], missing: list[str]
) -> Iterator[Run]:
    """All turns, until the time is up. What failed or was left out is added to `missing`."""
    begin, took, not_begun = time.perf_counter(), dict[tuple[str, str], float](), 0
    for number in range(1, options.turns + 1):
        for workload, contender, command in turn:
            what = f"turn {number}, ({workload}), {contender}"
            spent_s = time.perf_counter() - begin
            if spent_s + took.get((workload, contender), 0.0) > 60 * options.minutes:
                not_begun += 1
                continue
            measured = run_command(command, n_cores=2, timeout_s=TIMEOUT_S)
            took[workload, contender] = measured.whole_wall_s
            line = measured.line
            if not line:
                missing.append(f"{what}: failed after {measured.whole_wall_s:.0f} s")
                print(f"{missing[-1]}\n{measured.tail}", flush=True)
                continue
            done = Run(
                number,
                workload,
                line["contender"],
                line["round_wall_s"],
                line["median_wall_s"],
                measured.whole_wall_s,
                measured.pss_bytes,
                line["loss"],
                line["accuracy"],
            )
            print(
                f"{what}: {1e3 * done.round_wall_s:.1f} ms a round, {done.whole_wall_s:.1f} s, "
                f"{done.pss_bytes / 2**30:.2f} GiB, loss {done.test_loss:.3f}",
                flush=True,
            )
            yield done
    if not_begun:
        missing.append(f"{not_begun} of {options.turns * len(turn)} runs were not begun, time was up")


def report(runs: list[Run], facts: list[str]) -> str:
    """The Markdown: where and how it was measured, and a table for each workload."""
    parts = ["\n".join(f"- {fact}" for fact in facts)]
    for name in dict.fromkeys(run.workload for run in runs):
        workload = WORKLOADS[name]
        parts.append(f"### ({name}) {workload.what}\n\n{table(runs, name)}")
        parts.append(median_rounds(runs, name))
    return "\n\n".join(part for part in parts if part) + "\n"


def shown(options: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The command, with what was set and changes what is measured."""
    words = ["python", "benchmarks/peers/run.py", "--data-dir", "DIR"]
    for key in ("workloads", "contenders", "turns", "minutes", "rounds", "clients"):
        value = getattr(options, key)
        if value != parser.get_default(key):
            words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return " ".join(words)


def main() -> None:
    """Prepares, measures, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data_dir = os.environ.get("DISTREAL_SIM_TEST_DATA")
    parser.add_argument("--data-dir", type=Path, default=data_dir, help="default: $DISTREAL_SIM_TEST_DATA")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=["d", "e", "b"])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, help="for trying out: instead of the workload's own")
    parser.add_argument("--clients", type=int, help="for trying out: per round")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results")
    parser.add_argument("--docs", type=Path, help="document whose marked part becomes the tables")
    options = parser.parse_args()
    if options.data_dir is None:
        print("skipped: needs CIFAR-10, MNIST and QMNIST; give --data-dir or set DISTREAL_SIM_TEST_DATA")
        return
    wanted = [peer for peer in REQUIREMENTS if any(c.startswith(peer) for c in options.contenders)]
    pythons = {peer: environment(peer, options.cache) for peer in wanted}
    data = plain_data(options.data_dir, options.cache, options.workloads)
    where = machine()
    options.out.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    missing: list[str] = []
    for done in measure(options, commands(options, pythons, data), missing):
        runs.append(done)
        write_csv(options.out / "peers.csv", runs)
    if not runs:
        raise SystemExit("nothing was measured")
    facts = [
        f"{where}. Two of the cores, one thread a process",
        in_use(pythons),
        f"`{shown(options, parser)}`",
        *missing,
    ]
    text = report(runs, facts)
    (options.out / "peers.md").write_text(text)
    if options.docs is not None:
        insert(options.docs, text)
    print(text)


if __name__ == "__main__":
    main()
