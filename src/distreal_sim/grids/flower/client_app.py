"""The Flower ClientApp, which trains a simulated device and evaluates shards of the test set.

Our grids and `flwr run` use the same app.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from distreal_sim.client.client import do
from distreal_sim.client.task import Task
from distreal_sim.grids import npy
from distreal_sim.grids.flower.messages import (
    MEMORY,
    arrays_of,
    decode_arrays,
    decode_job,
    decode_part,
    encode_arrays,
    encode_update,
    recall,
    remember,
    values_of,
)
from distreal_sim.methods import Method
from distreal_sim.simulation import evaluation
from distreal_sim.simulation.client_scores import client_shard

FAILED = 1
"""Error code of a reply whose client raised an exception."""

Resolve = Callable[[Context], tuple[Task, Method]]


def make_client_app(resolve: Resolve) -> ClientApp:
    """The ClientApp for the task and method that `resolve` returns for a context.

    train: takes a job, replies with an update. query.statistics and evaluate: compute a shard of the global
    model's evaluation. The error of a failed reply names client, round and stage.
    """
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        job_config = values_of(message.content, "job")
        where = f"client {job_config['client_id']}, round {job_config['round']}"
        stage = "setting up"
        try:
            task, method = resolve(context)
            stage = "decoding its job"
            memory = recall(context.state)
            arrays = decode_arrays(arrays_of(message.content, "arrays"))
            job = decode_job(message.content, arrays, memory)
            stage = "training"
            update = do(task, method, job, npy.empty)
            stage = "encoding its update"
            if update.memory is not None:
                context.state[MEMORY] = remember(update.memory)
            return Message(encode_update(update), reply_to=message)
        except Exception as error:
            return _failure(message, where, stage, error)

    @app.query("statistics")
    def statistics(message: Message, context: Context) -> Message:
        config = values_of(message.content, "shard")
        try:
            task, _ = resolve(context)
            arrays = decode_arrays(arrays_of(message.content, "arrays"))
            which = config["round"], config["clients"], config["draws"]
            sums = evaluation.statistics_shard(task, arrays, *which, decode_part(config))
            return Message(RecordDict({"statistics": encode_arrays(sums)}), reply_to=message)
        except Exception as error:
            return _failure(message, f"round {config['round']}", "estimating batch-norm statistics", error)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        config = values_of(message.content, "shard")
        try:
            task, _ = resolve(context)
            arrays = decode_arrays(arrays_of(message.content, "arrays"))
            stats = decode_arrays(arrays_of(message.content, "statistics"))
            which = config["start"], config["stop"], decode_part(config)
            found = evaluation.test_shard(task, arrays, stats, *which)
            return Message(RecordDict({"result": encode_arrays(found)}), reply_to=message)
        except Exception as error:
            return _failure(message, f"round {config['round']}", "testing", error)

    @app.query("clients")
    def clients(message: Message, context: Context) -> Message:
        config = values_of(message.content, "shard")
        try:
            task, _ = resolve(context)
            arrays = decode_arrays(arrays_of(message.content, "arrays"))
            stats = decode_arrays(arrays_of(message.content, "statistics"))
            found = client_shard(task, arrays, stats, config["clients"])
            return Message(RecordDict({"result": encode_arrays(found)}), reply_to=message)
        except Exception as error:
            return _failure(message, f"round {config['round']}", "testing the clients", error)

    @app.query("partition")
    def partition(message: Message, context: Context) -> Message:
        try:
            partition_id = int(context.node_config["partition-id"])
            n_partitions = int(context.node_config["num-partitions"])
        except Exception as error:
            return _failure(message, f"node {context.node_id}", "reading its node config", error)
        config = ConfigRecord({"client_id": partition_id, "n_clients": n_partitions})
        return Message(RecordDict({"partition": config}), reply_to=message)

    return app


def out_of_memory(error: Exception) -> bool:
    """Whether numpy or torch could not allocate memory."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def client_app(payload: tuple[Task, Method]) -> ClientApp:
    """The ClientApp of one task and its method."""
    return make_client_app(lambda context: payload)


def _failure(message: Message, where: str, stage: str, error: Exception) -> Message:
    if out_of_memory(error):
        raise MemoryError(str(error)) from error  # a Ray worker ends itself, and the job is redone
    reason = f"{where}, while {stage}: {type(error).__name__}: {error}\n{traceback.format_exc()}"
    return Message(Error(FAILED, reason), reply_to=message)
