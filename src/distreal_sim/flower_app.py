XX


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
                raise _failure(reply)
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


app = ServerApp()
"""What `flwr run` loads."""


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Plays the run named by the Flower run config (`config`, `overrides`, `out`)."""
    prepare_process()
    experiment = experiment_of(context.run_config)
    task = build(experiment)
    nodes = find_nodes(grid, len(task.split))
    directory = RunDirectory(Path(str(context.run_config["out"])), experiment, resume=False)
    try:
        fleet = GridFleet(grid, task, nodes=nodes, window=4 * n_cores(), states=None)
        play(directory, experiment, task, fleet)
    finally:
        directory.close()


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


app = make_client_app(_from_run_config)
"""What `flwr run` loads."""
