"""What every contender computes: data, clients, network, batches, and the line that it prints.

Imported by the scripts of all virtual environments, so it needs nothing but numpy and torch.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SEED = 1


@dataclass(frozen=True)
class Workload:
    """FedAvg over clients with equally many examples, drawn uniformly from the training set; (e): see there.

    every: rounds between tests on the whole test set; the last round is tested too.
    """

    what: str
    dataset: str
    n_clients: int
    clients_per_round: int
    examples: int
    batch_size: int
    lr: float
    rounds: int
    every: int
    test_batch: int = 500

    def tests_after(self, number: int) -> bool:
        """Whether the model is tested after this round (1, 2, ...)."""
        return number % self.every == 0 or number == self.rounds


WORKLOADS = {
    "b": Workload("pfl's CIFAR-10 benchmark, iid", "cifar10", 1000, 50, 50, 10, 0.1, 20, 10),
    "d": Workload("FLUTE's LR on MNIST", "mnist", 1000, 10, 60, 10, 0.03, 100, 20),
    "e": Workload("HeteroFL, MNIST by writer, femnist_cnn", "mnist", 539, 10, 0, 32, 0.05, 11, 5),
}
"""pfl: Granqvist et al., arXiv:2404.06430, without dropout; FLUTE: Garcia et al., arXiv:2203.13789.

(e): a client is one writer's digits (19 to 131), and in every round draws 1, 1/2 or 1/4 of all channels.
"""


@dataclass(frozen=True)
class Data:
    """x: uint8 (N, C, H, W); y: int64 (N,)."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray

    def scaler(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of every channel of the training set; (1, C, 1, 1)."""
        counts = [np.bincount(self.x[:, c].ravel(), minlength=256) for c in range(self.x.shape[1])]
        values = np.arange(256) / 255
        means = np.array([(n * values).sum() / n.sum() for n in counts])
        squares = np.array([(n * values**2).sum() / n.sum() for n in counts])
        shape = (1, -1, 1, 1)
        return (
            torch.tensor(means, dtype=torch.float32).view(shape),
            torch.tensor(np.sqrt(squares - means**2), dtype=torch.float32).view(shape),
        )


def normalise(x: np.ndarray, mean: Tensor, std: Tensor) -> Tensor:
    """Pixels as float32 with mean 0 and variance 1 in every channel."""
    return torch.from_numpy(x).float().div_(255).sub_(mean).div_(std)


def load(dataset: str, folder: Path) -> Data:
    """Reads the files as torchvision leaves them, decompressed."""
    if dataset == "cifar10":
        files = [f"data_batch_{n}" for n in range(1, 6)]
        batches = [
            pickle.loads((folder / "cifar-10-batches-py" / name).read_bytes(), encoding="latin1")
            for name in [*files, "test_batch"]
        ]
        x = np.concatenate([b["data"] for b in batches]).reshape(-1, 3, 32, 32)
        y = np.concatenate([np.array(b["labels"]) for b in batches])
        return Data(x[:50_000], y[:50_000], x[50_000:], y[50_000:])
    raw = folder / "MNIST" / "raw"
    parts = []
    for part in ("train", "t10k"):
        images = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 28, 28)
        labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8)[8:].astype(np.int64)
        parts += [images, labels]
    return Data(*parts)


def deal(workload: Workload) -> np.ndarray:
    """(n_clients, examples): which training examples each client holds."""
    order = np.random.default_rng(SEED).permutation(workload.n_clients * workload.examples)
    return order.reshape(workload.n_clients, workload.examples)


def network(name: str) -> nn.Sequential:
    """The network of a workload: 1,626,442 parameters (b) or 7,850 (d)."""
    torch.manual_seed(SEED)
    if name == "d":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    layers = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(64 * 14 * 14, 128), nn.ReLU(), nn.Linear(128, 10)]
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
    return nn.Sequential(*layers)


@torch.no_grad()
def test(net: nn.Module, x: Tensor, y: Tensor, batch: int) -> tuple[float, float]:
    """Mean loss and accuracy, batch by batch."""
    net.eval()
    loss = correct = 0.0
    for start in range(0, len(y), batch):
        outputs, labels = net(x[start : start + batch]), y[start : start + batch]
        loss += nn.functional.cross_entropy(outputs, labels, reduction="sum").item()
        correct += (outputs.argmax(1) == labels).sum().item()
    net.train()
    return loss / len(y), correct / len(y)


@dataclass
class Record:
    """What a contender reports: when each round ended, tests included, and the result of the last test."""

    contender: str
    workload: str
    ends: list[float] = field(default_factory=list)
    loss: float = float("nan")
    accuracy: float = float("nan")

    def end_round(self) -> None:
        """Notes that a round is over."""
        self.ends.append(round(time.perf_counter(), 6))

    def tested(self, loss: float, accuracy: float) -> None:
        """Notes the result of a test."""
        self.loss, self.accuracy = float(loss), float(accuracy)

    def print(self, **more: Any) -> None:
        """Writes the one line that `run.py` looks for.

        round_wall_s: mean over the rounds but the first and the last, tests included; median_wall_s: their
        median.
        """
        took = np.diff(self.ends)[:-1] if len(self.ends) > 2 else np.array([np.nan])
        times = {"round_wall_s": float(took.mean()), "median_wall_s": float(np.median(took))}
        line = {**vars(self), **times, "torch": torch.__version__, **more}
        print(json.dumps(line), flush=True)


def options(description: str | None) -> argparse.Namespace:
    """The command line that all contenders share: name, workload, data, processes, plan."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", help="of the workload")
    parser.add_argument("--data", type=Path, required=True, help="folder of the decompressed data sets")
    parser.add_argument("--rounds", type=int, help="instead of the workload's own number")
    parser.add_argument("--clients", type=int, help="per round, instead of the workload's own number")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--precision", default="float32", help="of training steps, where one can choose")
    given = parser.parse_args()
    changed = {"rounds": given.rounds, "clients_per_round": given.clients}
    given.workload = replace(WORKLOADS[given.name], **{k: v for k, v in changed.items() if v is not None})
    return given
