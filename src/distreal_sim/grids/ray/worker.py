"""The process of one Ray actor, which answers for any client."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

import ray
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.clientapp import ClientApp

from distreal_sim.base.errors import InputError
from distreal_sim.base.process import give_back_freed_memory, prepare_process
from distreal_sim.grids.flower.grid import identify, make_context
from distreal_sim.grids.npy import allocating
from distreal_sim.grids.ray.shared_memory import Address, Packed, Slot, open_annex

SHARED_KEPT = 4
"""Number of published records that a worker caches: a round's model, its statistics, and spares."""

MakeApp = Callable[[Any], ClientApp]

Check = Callable[[], None]
"""Raises InputError in a process that has other source code than the driver."""

Answer = tuple[Message, RecordDict]
"""A reply to a message and the client's new state."""


class Worker:
    """The process of one actor."""

    def __init__(
        self, make_app: MakeApp, payload: Any, arena: Address | None, check: Check = lambda: None
    ) -> None:
        self.check = check
        prepare_process()
        identify()
        self.app = make_app(payload)
        give_back_freed_memory()
        self.records: dict[Any, ArrayRecord] = {}
        self.annex = open_annex(arena)

    def started(self) -> str | None:
        """Returns once the worker runs: the reason why it cannot be used, or None."""
        try:
            self.check()
        except InputError as error:
            return str(error)
        return None

    def answer(
        self,
        message: Message,
        own: RecordDict,
        shared: dict[str, Any],
        state: RecordDict,
        slot: Slot | None,
    ) -> Answer | Packed:
        """The answer; in the slot if one is given and this process can use it."""
        content = RecordDict(dict(own))
        for key, ref in shared.items():
            content[key] = self._record(ref)
        message.content = content
        context = make_context(message.metadata.dst_node_id, state)
        try:
            sheet = self.annex.sheet(slot) if self.annex is not None and slot is not None else None
            if sheet is None:
                return self.app(message, context), context.state
            with allocating(sheet.allocate):
                reply = self.app(message, context)
            return sheet.pack((reply, context.state))
        except MemoryError:  # the state of this process can no longer be trusted
            traceback.print_exc()
            os._exit(1)

    def _record(self, ref: Any) -> ArrayRecord:
        if ref not in self.records:
            while len(self.records) >= SHARED_KEPT:
                self.records.pop(next(iter(self.records)))
            try:
                self.records[ref] = ray.get(ref)
            except OSError:  # this machine's Ray is lost; elsewhere the job can be done again
                traceback.print_exc()
                os._exit(1)
        return self.records[ref]
