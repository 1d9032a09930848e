"""A round of one of Flower's strategies, on updates of the whole network.

The strategy is built again in every round and given back its memory, so that a run that was resumed cannot
differ from one that was not.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, Metadata, MetricRecord, RecordDict
from flwr.app.exception import AppExitException
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.client.messages import Arrays, Round, State, Update
from distreal_sim.merging.flower_options import Configured, make
from distreal_sim.merging.flower_state import PREFIX, recall, remember

NO_GRID = cast(Grid, None)
"""The clients have been reached already."""


def aggregate(merge: Configured, state: State, now: Round, updates: Iterator[Update]) -> State:
    """The state after the strategy's `aggregate_train`; the arrays keep their types.

    FedAdam corrects its step size by the number of the round. A round without updates changes nothing, and
    neither does one in which the strategy declines to merge. Raises InputError for an update that covers only
    a part of the network, RunError for what the strategy itself complains about.
    """
    strategy = make(merge)
    recall(strategy, state.extras)
    names = sorted(state.arrays)  # an order that outlives a checkpoint: Krum's sums depend on it
    replies = [_reply(merge, strategy, state.arrays, names, update) for update in updates]
    try:
        with _quick_and_quiet():
            # It samples nobody here; it is shown the arrays that the clients got.
            strategy.configure_train(now.number, _record(state.arrays, names), ConfigRecord(), NO_GRID)
            merged, _ = strategy.aggregate_train(now.number, replies)
    except AppExitException as error:
        raise RunError(f"{merge.title}, round {now.number}: {error}") from error
    extras = {key: value for key, value in state.extras.items() if not key.startswith(PREFIX)}
    extras |= remember(merge, strategy)
    return State(state.arrays if merged is None else _arrays(merged, state.arrays), extras)


def _reply(merge: Configured, strategy: FedAvg, old: Arrays, names: Sequence[str], update: Update) -> Message:
    """The update as Flower's strategies want it. Raises InputError if it is not of the whole network."""
    shapes = {name: array.shape for name, array in update.arrays.items()}
    whole = shapes == {name: array.shape for name, array in old.items()}
    client_id = update.facts.client_id
    if not whole or any(kept is not None for kept in update.coverage.kept):
        raise InputError(
            f"{merge.title} can only merge updates of the whole network, and client "
            f"{client_id} trained a part of it; use a method that always trains all, like "
            "method.name=fedavg, or leave merge out"
        )
    metrics = MetricRecord()
    metrics[strategy.weighted_by_key] = update.facts.n_examples
    metrics["train_loss"] = update.facts.train_loss
    content = RecordDict({"arrays": _record(update.arrays, names), "metrics": metrics})
    # Explicit, because outside Flower's runtime nobody knows which node this is.
    metadata = Metadata(
        run_id=0,
        message_id=str(client_id),
        src_node_id=client_id,
        dst_node_id=0,
        reply_to_message_id="",
        group_id="",
        created_at=0.0,
        ttl=0.0,
        message_type="train",
    )
    return Message(content=content, metadata=metadata)  # type: ignore[call-overload,no-any-return]


def _record(arrays: Arrays, names: Sequence[str]) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(arrays[name])) for name in names})


def _arrays(merged: ArrayRecord, old: Arrays) -> dict[str, np.ndarray]:
    """The strategy's arrays in the order and types of the old ones; FedAdam, for one, returns float64."""
    return {name: merged[name].numpy().astype(array.dtype, order="C") for name, array in old.items()}


@contextlib.contextmanager
def _quick_and_quiet() -> Iterator[None]:
    """Within the block Flower does not report what goes well, and its garbage collections are short.

    Bulyan and QFedAvg collect once for every update; without the freeze each goes through all of torch, a
    tenth of a second.
    """
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.WARNING)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        logger.setLevel(level)
