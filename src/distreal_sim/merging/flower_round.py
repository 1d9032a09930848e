"""A round of a Flower strategy, on updates of the whole network.

The strategy is rebuilt in every round and gets its memory back, so that a resumed run cannot differ from an
uninterrupted one.
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

    FedAdam corrects its step size by the round number. A round without updates changes nothing, and neither
    does a round that the strategy declines to merge. Raises InputError for an update that covers only a part
    of the network, RunError for an error that the strategy raises.
    """
    strategy = make(merge)
    recall(strategy, state.extras)
    names = sorted(state.arrays)  # an order that survives a checkpoint: Krum's sums depend on it
    replies = [_reply(merge, strategy, state.arrays, names, update) for update in updates]
    try:
        with _quick_and_quiet():
            # It samples no clients here, but reads the arrays that the clients got.
            strategy.configure_train(now.number, _record(state.arrays, names), ConfigRecord(), NO_GRID)
            merged, _ = strategy.aggregate_train(now.number, replies)
    except AppExitException as error:
        raise RunError(f"{merge.title}, round {now.number}: {error}") from error
    extras = {key: value for key, value in state.extras.items() if not key.startswith(PREFIX)}
    extras |= remember(merge, strategy)
    return State(state.arrays if merged is None else _arrays(merged, state.arrays), extras)


def _reply(merge: Configured, strategy: FedAvg, old: Arrays, names: Sequence[str], update: Update) -> Message:
    """The update as a Flower message. Raises InputError if it does not cover the whole network."""
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
    # Explicit metadata, because outside Flower's runtime the node id is unknown.
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
    """Within the block Flower logs no successes, and its garbage collections are short.

    Bulyan and QFedAvg collect garbage once per update; without the freeze each collection scans all of torch,
    which takes a tenth of a second.
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
