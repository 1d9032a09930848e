"""How long the model takes on the clients' links."""

from __future__ import annotations

from statistics import fmean

from rich.console import Console

from distreal_sim.base.text import add_row, counted, say, show, table
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.devices.links import Use
from distreal_sim.inspection.rows import sample


def show_links(
    experiment: Experiment, task: Task, console: Console, *, n_rounds: int, n_clients: int
) -> None:
    """Prints the times of the whole model on some clients' links, over the first rounds."""
    model = task.traffic(task.model_sizes)
    shown = table(
        f"{experiment.link.name}: seconds of the model's transfers",
        "client|down, mean|min|max|up, expected|mean|min|max",
    )
    clients = sample(len(task.split), n_clients)
    for client_id in clients:
        uses = [Use(n + 1, n * task.deadline_s, experiment.clients_per_round) for n in range(n_rounds)]
        links = [task.devices.link(client_id, use) for use in uses]
        down = [float(link.download_s(model.download_bytes)) for link in links]
        up = [float(link.upload_s(model.upload_bytes, 0.0)) for link in links]
        expected = float(links[0].expected_upload_s(model.upload_bytes))
        figures = (fmean(down), min(down), max(down), expected, fmean(up), min(up), max(up))
        add_row(shown, client_id, *(f"{x:.4g}" for x in figures))
    show(console, shown)
    say(
        console,
        f"{model.download_bytes:,} bytes down and {model.upload_bytes:,} up, over "
        f"{counted(n_rounds, 'round')} of {task.deadline_s:g} s, each transfer begun with the round; "
        f"{len(clients)} of {len(task.split):,} clients. Expected: what a client leaves room for.",
    )
