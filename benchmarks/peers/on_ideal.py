"""The ideal: a bare loop of eager PyTorch that takes the same steps and tests the same models.

FedAvg by hand, in two processes of one thread. The global model, one sum per process and the test results
lie in shared memory; torch.optim.SGD takes the steps; nothing is sent, logged or saved.
"""

from __future__ import annotations

import multiprocessing as mp
from multiprocessing.synchronize import Barrier

import numpy as np
import torch
from torch import Tensor, nn
from workloads import SEED, Record, Workload, deal, load, network, normalise, options, test


def flatten(net: nn.Module) -> Tensor:
    """One vector whose parts the parameters become."""
    flat = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
    start = 0
    for p in net.parameters():
        p.data = flat[start : start + p.numel()].view_as(p)
        start += p.numel()
    return flat


class Share:
    """What one process does."""

    def __init__(self, name: str, workload: Workload, rank: int, shared: dict[str, Tensor]) -> None:
        self.workload, self.rank, self.shared = workload, rank, shared
        self.n = len(shared["sums"])
        self.net = network(name)
        self.flat = flatten(self.net)
        self.optimizer = torch.optim.SGD(self.net.parameters(), workload.lr)
        self.split = torch.from_numpy(deal(workload))
        self.rng = np.random.default_rng(rank)
        self.own = slice(rank * len(self.flat) // self.n, (rank + 1) * len(self.flat) // self.n)

    def train(self, clients: np.ndarray, barrier: Barrier) -> None:
        """One round: its clients, then its part of the mean."""
        mine = self.shared["sums"][self.rank].zero_()
        for client in clients[self.rank :: self.n]:
            self.flat.copy_(self.shared["state"])
            order = self.split[client][torch.from_numpy(self.rng.permutation(self.workload.examples))]
            for batch in order.split(self.workload.batch_size):
                self.optimizer.zero_grad()
                outputs = self.net(self.shared["x"][batch])
                nn.functional.cross_entropy(outputs, self.shared["y"][batch]).backward()
                self.optimizer.step()
            mine += self.flat
        barrier.wait()
        torch.sum(self.shared["sums"][:, self.own], 0, out=self.shared["state"][self.own])
        self.shared["state"][self.own] /= len(clients)
        barrier.wait()

    def test(self, barrier: Barrier) -> None:
        """Its part of the test set."""
        self.flat.copy_(self.shared["state"])
        x, y = self.shared["test_x"], self.shared["test_y"]
        size = len(y) // self.n
        part = slice(self.rank * size, (self.rank + 1) * size)
        result = test(self.net, x[part], y[part], self.workload.test_batch)
        self.shared["tests"][self.rank] = torch.tensor(result)
        barrier.wait()


def work(name: str, workload: Workload, rank: int, shared: dict[str, Tensor], barrier: Barrier) -> Record:
    """All rounds."""
    torch.set_num_threads(1)
    share, record = Share(name, workload, rank, shared), Record("ideal", name)
    if rank == 0:
        shared["state"].copy_(share.flat)
    barrier.wait()
    cohorts = np.random.default_rng(SEED)
    for number in range(1, workload.rounds + 1):
        share.train(cohorts.choice(workload.n_clients, workload.clients_per_round, replace=False), barrier)
        if workload.tests_after(number):
            share.test(barrier)
            record.tested(*shared["tests"].mean(0).tolist())
        record.end_round()
    return record


def main() -> None:
    """Loads the data, forks, works."""
    given = options(__doc__)
    name, workload, processes = given.name, given.workload, given.processes
    torch.set_num_threads(1)
    data = load(workload.dataset, given.data)
    scaler = data.scaler()
    n_parameters = sum(p.numel() for p in network(name).parameters())
    shared = {
        "x": normalise(data.x, *scaler),
        "y": torch.from_numpy(data.y),
        "test_x": normalise(data.test_x, *scaler),
        "test_y": torch.from_numpy(data.test_y),
        "state": torch.empty(n_parameters).share_memory_(),
        "sums": torch.empty(processes, n_parameters).share_memory_(),
        "tests": torch.empty(processes, 2).share_memory_(),
    }
    context = mp.get_context("fork")  # so that the data need not be copied
    barrier = context.Barrier(processes)
    others = [
        context.Process(target=work, args=(name, workload, rank, shared, barrier))
        for rank in range(1, processes)
    ]
    for process in others:
        process.start()
    record = work(name, workload, 0, shared, barrier)
    for process in others:
        process.join()
    record.print(parameters=n_parameters)


if __name__ == "__main__":
    main()
