"""Flower's Grid with the clients in this process: what messages do, without Ray."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp

from distreal_sim.grids.flower.grid import LocalGrid, make_context


class SerialGrid(LocalGrid):
    """Runs the ClientApp when its reply is asked for, one message at a time."""

    def __init__(self, app: ClientApp, n_clients: int) -> None:
        super().__init__(n_clients)
        self.app = app
        self._queue: dict[str, Message] = {}

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queues the messages."""
        ids = []
        for message in messages:
            ids.append(self.name_message(message))
            self._queue[ids[-1]] = message
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The reply to the first of the messages; the client works now."""
        wanted = [i for i in message_ids if i in self._queue]
        if not wanted:
            return []
        message = self._queue.pop(wanted[0])
        client_id = message.metadata.dst_node_id
        context = make_context(client_id, RecordDict(dict(self.states.get(client_id, {}))))
        reply = self.app(message, context)
        if len(context.state) and not reply.has_error():
            self.keep(wanted[0], client_id, context.state)
        return [reply]
