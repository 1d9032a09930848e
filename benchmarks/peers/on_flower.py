"""Stock Flower: its simulation engine with its FedAvg strategy and Message API.

Tuned: one CPU per actor, so as many actors as cores; each reads the data once and keeps it; the server tests
by itself; no metrics but the count of examples travel. Ray's and Flower's telemetry are off.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from flower_client import app as client_app
from flower_client import inputs
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from workloads import Record, Workload, network, normalise, options, test


def server(name: str, workload: Workload, folder: str, record: Record) -> ServerApp:
    """FedAvg, tested on the server every few rounds."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        data, scaler = inputs(workload.dataset, folder)
        test_x, test_y = normalise(data.test_x, *scaler), torch.from_numpy(data.test_y)
        net = network(name)

        def evaluate(number: int, arrays: ArrayRecord) -> None:
            if number == 0:
                return
            if workload.tests_after(number):
                net.load_state_dict(arrays.to_torch_state_dict())
                record.tested(*test(net, test_x, test_y, workload.test_batch))
            record.end_round()

        strategy = FedAvg(
            fraction_train=workload.clients_per_round / workload.n_clients,
            fraction_evaluate=0.0,
            min_train_nodes=workload.clients_per_round,
            min_available_nodes=workload.n_clients,
        )
        strategy.start(
            grid,
            ArrayRecord(net.state_dict()),
            workload.rounds,
            train_config=ConfigRecord({"name": name, "folder": folder}),
            evaluate_fn=evaluate,
        )

    return app


def main() -> None:
    """Runs the simulation and reports."""
    given = options(__doc__)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where Ray's workers find the client
    logging.getLogger("flwr").setLevel(logging.WARNING)
    record = Record(f"Flower, {given.processes} actors", given.name)
    run_simulation(
        server(given.name, given.workload, str(given.data), record),
        client_app,
        num_supernodes=given.workload.n_clients,
        backend_config={
            "init_args": {"address": "local", "num_cpus": given.processes, "include_dashboard": False},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
    record.print()


if __name__ == "__main__":
    main()
