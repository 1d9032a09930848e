"""How much faster 2 workers run an asynchronous experiment than 1: the wall time of the same steps, in turn.

    python benchmarks/asynchronous.py --data-dir data

configs/cifar10.yaml with FedAvg under `fedbuff`: jobs from different models are on their way at the same
time. From the first step of the server to the last one, so start-up is left out. Both must write the same
rounds.csv. The ratio is that of one run on a machine with nothing else on it; two cores are needed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from distreal_sim.config import load_experiment
from distreal_sim.run import run

CONFIG = Path(__file__).parents[1] / "configs" / "cifar10.yaml"
CHANGES = (
    "method=fedavg",
    "overrun=wait",
    "coordination={name: fedbuff, buffer: 5}",
    "clients_per_round=10",
    "evaluation.every=1000",
    "evaluation.examples=500",
)


def main() -> None:
    """Measures and prints."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the CIFAR-10 files")
    parser.add_argument("--model", default="small_cnn", help="network, of the product's models")
    parser.add_argument("--steps", type=int, default=60, help="steps of the server, of 5 jobs each")
    parser.add_argument("--pairs", type=int, default=3, help="measurements with 1 and with 2 workers")
    options = parser.parse_args()
    ratios = []
    for _ in range(options.pairs):
        (one_s, table), (two_s, other) = (
            measured(options.data_dir, options.model, options.steps, n) for n in (1, 2)
        )
        if table != other:
            raise SystemExit("1 and 2 workers gave different results")
        ratios.append(one_s / two_s)
        print(f"1 worker {one_s:.1f} s, 2 workers {two_s:.1f} s: {ratios[-1]:.2f} times as fast", flush=True)
    print(f"median of {len(ratios)}: 2 workers are {median(ratios):.2f} times as fast as 1")


def measured(data_dir: Path, model: str, steps: int, n_workers: int) -> tuple[float, bytes]:
    """(wall seconds between the first and the last step, rounds.csv)."""
    own = [f"dataset.data_dir={data_dir.resolve()}", f"model={model}", f"rounds={steps}"]
    experiment, _ = load_experiment(CONFIG, [*CHANGES, *own])
    times: list[float] = []

    def seen(row: object) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        done = run(experiment, Path(folder) / "out", grid="ray", n_workers=n_workers, callbacks=[seen])
        return times[-1] - times[0], (done.path / "rounds.csv").read_bytes()


if __name__ == "__main__":
    main()
