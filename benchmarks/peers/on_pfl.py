"""pfl: its simulated backend with FederatedAveraging, in one process or in several by torch.distributed.

Tuned: users' tensors are normalised and cut out once and stay in memory, tests are shared by the processes,
and metrics are not printed. pfl does not shuffle a user's examples, which on uniformly drawn data changes
nothing. It always evaluates the users of iteration 0, before and after training.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from workloads import Record, Workload, deal, load, network, normalise, options


def start_others(processes: int) -> list[subprocess.Popen[bytes]]:
    """Starts the processes of ranks 1, 2, ...; all learn of each other by the variables that pfl reads."""
    if processes == 1 or "PFL_WORKER_RANK" in os.environ:
        return []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ["PFL_WORKER_ADDRESSES"] = ",".join(f"127.0.0.1:{port + n}" for n in range(processes))
    others = [
        subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "PFL_WORKER_RANK": str(rank)})
        for rank in range(1, processes)
    ]
    os.environ["PFL_WORKER_RANK"] = "0"
    return others


def play(name: str, workload: Workload, folder: Path, record: Record) -> None:
    """The run; pfl connects its processes when it is imported."""
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.callback.central_evaluation import CentralEvaluationCallback
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.sampling import get_user_sampler
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.metrics import Metrics, Weighted
    from pfl.model.pytorch import PyTorchModel

    class Net(torch.nn.Module):
        """The network with the two functions that pfl asks for."""

        def __init__(self) -> None:
            super().__init__()
            self.net = network(name)

        def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(self.net(x), y)

        @torch.no_grad()
        def metrics(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Weighted]:
            outputs = self.net(x)
            loss = torch.nn.functional.cross_entropy(outputs, y, reduction="sum").item()
            correct = (outputs.argmax(1) == y).sum().item()
            return {"loss": Weighted(loss, len(y)), "accuracy": Weighted(correct, len(y))}

    class Test(CentralEvaluationCallback):
        """pfl's test, after the rounds in which the others test too."""

        def on_train_begin(self, *, model: Any) -> Any:
            return Metrics()  # no test before round 1

        def after_central_iteration(self, metrics: Any, model: Any, *, central_iteration: int) -> Any:
            number = central_iteration + 1
            result: Any = (False, Metrics())
            if workload.tests_after(number):
                result = self._eval(model)
                values = {str(key): value for key, value in result[1].to_simple_dict().items()}
                record.tested(values["Central val | loss"], values["Central val | accuracy"])
            record.end_round()
            return result

    data = load(workload.dataset, folder)
    scaler = data.scaler()
    users = {
        str(user): [normalise(data.x[own], *scaler), torch.from_numpy(data.y[own])]
        for user, own in enumerate(deal(workload))
    }
    test_set = Dataset([normalise(data.test_x, *scaler), torch.from_numpy(data.test_y)])
    sampler = get_user_sampler("random", list(users))
    federated = FederatedDataset.from_slices(users, sampler)
    net = Net()
    model = PyTorchModel(net, torch.optim.SGD, torch.optim.SGD(net.parameters(), lr=1.0))
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=workload.rounds,
            evaluation_frequency=10**9,
            train_cohort_size=workload.clients_per_round,
            val_cohort_size=0,
        ),
        SimulatedBackend(training_data=federated, val_data=federated),
        model,
        NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=workload.lr, local_batch_size=workload.batch_size
        ),
        NNEvalHyperParams(local_batch_size=workload.test_batch),
        [Test(test_set, NNEvalHyperParams(local_batch_size=workload.test_batch), workload.every)],
        send_metrics_to_platform=False,
    )


def main() -> None:
    """Starts the other processes, plays, and reports from the first one."""
    given = options(__doc__)
    others = start_others(given.processes)
    torch.set_num_threads(1)
    record = Record(f"pfl, {given.processes} process{'es' if given.processes > 1 else ''}", given.name)
    play(given.name, given.workload, given.data, record)
    for process in others:
        process.wait()
    if os.environ.get("PFL_WORKER_RANK", "0") == "0":
        record.print()


if __name__ == "__main__":
    main()
