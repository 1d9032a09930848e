"""What `flwr run` loads: the server's app and the clients', with nodes found by their partition."""

from __future__ import annotations

import functools
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from distreal_sim.base.errors import InputError
from distreal_sim.base.process import n_cores, prepare_process
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, load_experiment
from distreal_sim.config.build import build
from distreal_sim.grids.flower.client_app import make_client_app
from distreal_sim.grids.flower.fleet import POLL_WALL_S, GridFleet, failure
from distreal_sim.grids.flower.messages import values_of
from distreal_sim.methods import Method
from distreal_sim.simulation.play import play
from distreal_sim.simulation.run_directory import RunDirectory


def experiment_of(run_config: Mapping[str, Any]) -> Experiment:
    """The experiment that a Flower run names: `config`, a path, and `overrides`, KEY=VALUE as in a shell.

    Raises InputError for a mistake in either.
    """
    path = Path(str(run_config["config"]))
    if not path.is_absolute() and not path.exists():
        raise InputError(
            f"config='{path}': no such file in {Path.cwd()}, where Flower's SuperLink was started; give its "
            "absolute path in --run-config"
        )
    try:
        overrides = shlex.split(str(run_config.get("overrides", "")))
    except ValueError as error:
        raise InputError(f"overrides={run_config['overrides']!r}: {error}") from None
    return load_experiment(path, overrides)[0]


@functools.lru_cache(maxsize=1)
def _built(config: str, overrides: str) -> tuple[Task, Method]:
    prepare_process()
    experiment = experiment_of({"config": config, "overrides": overrides})
    return build(experiment), experiment.method


def _from_run_config(context: Context) -> tuple[Task, Method]:
    return _built(str(context.run_config["config"]), str(context.run_config.get("overrides", "")))


client_app = make_client_app(_from_run_config)


def find_nodes(grid: Grid, n_clients: int) -> dict[int, int]:
    """client id -> node id, by asking every node for its partition; waits until all clients are there.

    Raises InputError when the federation is not made for that many clients.
    """
    nodes: dict[int, int] = {}
    while len(nodes) < n_clients:
        strangers = set(grid.get_node_ids()) - set(nodes.values())
        messages = [Message(RecordDict(), dst_node_id=n, message_type="query.partition") for n in strangers]
        for reply in grid.send_and_receive(messages):
            if reply.has_error():
                raise failure(reply)
            config = values_of(reply.content, "partition")
            if config["n_clients"] != n_clients:
                raise InputError(
                    f"the federation has {config['n_clients']} nodes and the experiment {n_clients} clients; "
                    f"add --federation-config 'num-supernodes={n_clients} client-resources-num-cpus=1'"
                )
            nodes[config["client_id"]] = reply.metadata.src_node_id
        if len(nodes) < n_clients:
            time.sleep(POLL_WALL_S)
    return nodes


server_app = ServerApp()


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Plays the run named by the Flower run config (`config`, `overrides`, `out`)."""
    prepare_process()
    experiment = experiment_of(context.run_config)
    task = build(experiment)
    nodes = find_nodes(grid, len(task.split))
    directory = RunDirectory(Path(str(context.run_config["out"])), experiment, resume=False)
    directory.costs = experiment.costs
    try:
        fleet = GridFleet(grid, task, nodes=nodes, window=4 * n_cores(), states=None)
        play(directory, experiment, task, fleet)
    finally:
        directory.close()
