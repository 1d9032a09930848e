"""The ideal that a run is measured against: plain PyTorch training of the same shapes, and nothing else.

    python benchmarks/_ideal.py PLAN.json

Imports nothing of the package. As many one-thread processes as workers train physically small copies of the
network with torch.optim.SGD on random data that is already in memory, normalised and batched. No weights are
loaded, sent or averaged, no example is looked up, no loss is read. Processes take clients (longest first),
statistics batches and test batches from a common counter and wait for each other after each of the three.
Prints {startup_wall_s, train_wall_s, evaluate_wall_s, cpu_s}; round 1 belongs to the start-up, as in a run.

PLAN.json: {workers, n_classes, shape, lr, momentum, weight_decay, test_sizes, networks, rounds}; networks are
[conv1, conv2, fc1] widths, the first that of the tested one; a round is {clients, statistics}: steps
[examples, network] of each client, longest client first, and sizes of the statistics batches (null in a round
without evaluation); test_sizes: sizes of the test batches.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import sys
import time
from collections.abc import Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

POOL = 2048
"""Random examples that batches are views of."""


def network(shape: list[int], widths: list[int], n_classes: int) -> nn.Module:
    """femnist_cnn with batch norm at these widths."""
    channels, height, width = shape
    conv1, conv2, hidden = widths
    return nn.Sequential(
        nn.Conv2d(channels, conv1, 5, padding=2, bias=False),
        nn.BatchNorm2d(conv1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(conv1, conv2, 5, padding=2, bias=False),
        nn.BatchNorm2d(conv2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(conv2 * (height // 4) * (width // 4), hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, n_classes),
    )


class Share:
    """One process's share of the work."""

    def __init__(self, plan: dict[str, Any], rank: int, barrier: Barrier, taken: Synchronized[int]) -> None:
        self.plan, self.rank, self.barrier, self.taken = plan, rank, barrier, taken
        generator = torch.Generator().manual_seed(rank)
        x = torch.randn(POOL, *plan["shape"], generator=generator)
        last = plan["layout"] == "channels_last"
        self.x = x.to(memory_format=torch.channels_last if last else torch.contiguous_format)
        self.y = torch.randint(plan["n_classes"], (POOL,), generator=generator)
        self.networks = [network(plan["shape"], widths, plan["n_classes"]) for widths in plan["networks"]]
        options = {key: plan[key] for key in ("lr", "momentum", "weight_decay")}
        self.optimizers = [torch.optim.SGD(net.parameters(), **options) for net in self.networks]
        self.position = self.end = 0

    def items(self, things: list[Any]) -> Iterator[Any]:
        """Those of the things that no other process has taken; waits for the others at the end."""
        start, self.end = self.end, self.end + len(things)
        while True:
            with self.taken.get_lock():
                index = self.taken.value
                if index >= self.end:
                    break
                self.taken.value += 1
            yield things[index - start]
        self.barrier.wait()

    def batch(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The next n examples of the pool."""
        start = self.position if self.position + n <= POOL else 0
        self.position = start + n
        return self.x[start : start + n], self.y[start : start + n]

    def train(self, clients: list[list[list[int]]]) -> None:
        """The clients of a round."""
        for steps in self.items(clients):
            for n, number in steps:
                self.step(n, number)

    def step(self, n: int, number: int) -> None:
        """One SGD step."""
        x, y = self.batch(n)
        self.optimizers[number].zero_grad()
        F.cross_entropy(self.networks[number](x), y).backward()
        self.optimizers[number].step()

    @torch.no_grad()
    def evaluate(self, statistics: list[int]) -> None:
        """Statistics batches, then the test set."""
        net = self.networks[0]
        for n in self.items(statistics):
            net(self.batch(n)[0])
        net.eval()
        for n in self.items(self.plan["test_sizes"]):
            x, y = self.batch(n)
            outputs = net(x)
            F.cross_entropy(outputs, y, reduction="sum").item()
            (outputs.argmax(1) == y).sum().item()
        net.train()


def work(
    plan: dict[str, Any], rank: int, barrier: Barrier, taken: Synchronized[int], result: SimpleQueue[Any]
) -> None:
    """What a process does; it reports when round 1 ended, and the seconds of the later rounds."""
    torch.set_num_threads(1)
    share = Share(plan, rank, barrier, taken)
    barrier.wait()
    train_wall_s = evaluate_wall_s = started = cpu_s = 0.0
    for number, round_ in enumerate(plan["rounds"], 1):
        begin = time.perf_counter()
        share.train(round_["clients"])
        trained = time.perf_counter()
        if round_["statistics"] is not None:
            share.evaluate(round_["statistics"])
        if number == 1:
            started, cpu_s = time.time(), time.process_time()
            continue
        train_wall_s += trained - begin
        evaluate_wall_s += time.perf_counter() - trained
    result.put((started, train_wall_s, evaluate_wall_s, time.process_time() - cpu_s))


def main() -> None:
    """Runs the plan and prints what it took."""
    begin = time.time()
    plan = json.loads(Path(sys.argv[1]).read_text())
    context = mp.get_context("spawn")
    barrier, taken, result = context.Barrier(plan["workers"]), context.Value("l", 0), context.SimpleQueue()
    processes = [
        context.Process(target=work, args=(plan, rank, barrier, taken, result))
        for rank in range(plan["workers"])
    ]
    for process in processes:
        process.start()
    reports = [result.get() for _ in processes]
    for process in processes:
        process.join()
    started, train_wall_s, evaluate_wall_s, _ = reports[0]
    record = {
        "startup_wall_s": started - begin,
        "train_wall_s": train_wall_s,
        "evaluate_wall_s": evaluate_wall_s,
    }
    print(json.dumps({**record, "cpu_s": sum(cpu_s for *_, cpu_s in reports)}))


if __name__ == "__main__":
    main()
