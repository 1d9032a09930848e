"""fluke: its FedAVG, in its one process.

Tuned: everything stays in memory, clients forget their model after the round, and of the metrics only the
accuracy and the loss are computed; the tests that it adds after the first round and the last are left out.
When the rounds are over it sends the last model to every client that took part.
"""

from __future__ import annotations

from typing import Any

import torch
from workloads import Record, deal, load, network, normalise, options


def declare_operators() -> torch.library.Library:
    """The operators that torchvision's import asks for, and that its CUDA build lacks beside a CPU torch.

    fluke imports torchvision (through torchmetrics), but nothing here calls them.
    """
    library = torch.library.Library("torchvision", "DEF")
    boxes = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms"):
        library.define(name + boxes)
    return library


def main() -> None:
    """Builds the federation, runs it and reports."""
    given = options(__doc__)
    name, workload = given.name, given.workload
    torch.set_num_threads(1)
    record = Record("fluke", name)
    kept = None if torch.cuda.is_available() else declare_operators()
    from fluke import DDict, FlukeENV
    from fluke.algorithms.fedavg import FedAVG
    from fluke.client import Client
    from fluke.config import OptimizerConfigurator
    from fluke.data import FastDataLoader
    from fluke.evaluation import ClassificationEval
    from fluke.server import Server
    from fluke.utils import FederationObserver
    from torchmetrics import Accuracy

    class Evaluator(ClassificationEval):
        """fluke's own, with the loss, when the others test too."""

        def evaluate(self, round: int, *args: Any, **kwargs: Any) -> dict[str, float]:
            if not workload.tests_after(round) or len(record.ends) == workload.rounds:
                return {}
            kwargs["loss_fn"] = torch.nn.CrossEntropyLoss()
            result = super().evaluate(round, *args, **kwargs)
            record.tested(result["loss"], result["accuracy"])
            return result

    class Clock(FederationObserver):
        """Notes the ends of the rounds."""

        def end_round(self, round: int) -> None:
            record.end_round()

    FlukeENV().set_seed(1)
    FlukeENV().set_device("cpu")
    FlukeENV().set_inmemory(True)
    FlukeENV().set_eval_cfg(pre_fit=False, post_fit=False, locals=False, server=True)
    FlukeENV().set_evaluator(Evaluator(1, 10, accuracy=Accuracy(task="multiclass", num_classes=10, top_k=1)))
    data = load(workload.dataset, given.data)
    scaler = data.scaler()
    optimizer = OptimizerConfigurator(DDict(name="SGD", lr=workload.lr))
    clients = [
        Client(
            index,
            FastDataLoader(
                normalise(data.x[own], *scaler),
                torch.from_numpy(data.y[own]),
                num_labels=10,
                batch_size=workload.batch_size,
                shuffle=True,
                skip_singleton=False,
            ),
            None,
            optimizer,
            torch.nn.CrossEntropyLoss(),
            local_epochs=1,
            persistency=False,
        )
        for index, own in enumerate(deal(workload))
    ]
    test_set = FastDataLoader(
        normalise(data.test_x, *scaler),
        torch.from_numpy(data.test_y),
        num_labels=10,
        batch_size=workload.test_batch,
    )
    server = Server(network(name), test_set, clients, weighted=True)
    federation = FedAVG(len(clients), None, {}, clients, server)
    federation.set_callbacks([Clock()])
    federation.run(workload.rounds, workload.clients_per_round / workload.n_clients)
    record.print()
    del kept


if __name__ == "__main__":
    main()
