"""The common base of our grids, which carry messages to the simulated clients.

Our grids run Flower's ClientApp themselves. Any free worker can answer for any client: a client's memory
between rounds is in its Context, which the grid's driver owns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from distreal_sim.grids.flower.messages import Published, deserialise, serialise

RUN_ID = 1
SERVER_NODE_ID = 2**62
"""A node id that no client has: a client's node id is its client id."""


class LocalGrid(Grid):
    """Base of our grids: implements Flower's interface except for the transport of messages."""

    def __init__(self, n_clients: int) -> None:
        self.n_clients = n_clients
        self.states: dict[int, RecordDict] = {}
        self._deferred: dict[str, tuple[int, RecordDict] | None] = {}
        self._run = Run.create_empty(RUN_ID)
        self._n_messages = 0
        identify()

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def get_node_ids(self) -> Iterable[int]:
        return range(self.n_clients)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return Message(
            content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl
        )

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        """Replies in the order of the messages. timeout is ignored: our clients answer or fail."""
        ids = list(self.push_messages(messages))
        replies: dict[str, Message] = {}
        while len(replies) < len(ids):
            for reply in self.pull_messages([i for i in ids if i not in replies]):
                replies[reply.metadata.reply_to_message_id] = reply
        return (replies[i] for i in ids)

    def store(self, record: Published) -> None:
        """Announces a record that many messages will carry, so that a grid can store it once."""

    def keep(self, message_id: str, client_id: int, state: RecordDict) -> None:
        """Keeps the client's new state that came with a reply; of a deferred message once it is accepted."""
        if message_id in self._deferred:
            self._deferred[message_id] = (client_id, state)
        else:
            self.states[client_id] = state

    def defer(self, message_id: str) -> None:
        """Lets the state that comes with the reply wait for `accept`."""
        self._deferred[message_id] = None

    def accept(self, message_id: str) -> None:
        """Keeps the state that came with the reply to a deferred message, if one came."""
        waiting = self._deferred.pop(message_id)
        if waiting is not None:
            client_id, state = waiting
            self.states[client_id] = state

    def forget(self, message_id: str) -> None:
        """Drops the state that came with the reply to a deferred message."""
        self._deferred.pop(message_id, None)

    def name_message(self, message: Message) -> str:
        """Gives the message an id, as Flower's link does when it accepts one."""
        self._n_messages += 1
        message.metadata.__dict__["_message_id"] = str(self._n_messages)
        return str(self._n_messages)

    def snapshot(self) -> dict[int, bytes]:
        """The clients' memory, serialised, by client id; clients without memory are left out."""
        return {c: serialise(state) for c, state in sorted(self.states.items()) if len(state)}

    def restore(self, snapshot: dict[int, bytes]) -> None:
        """Restores a snapshot."""
        self.states = {c: deserialise(data) for c, data in snapshot.items()}


def make_context(node_id: int, state: RecordDict) -> Context:
    """The context of a client whose node id is its client id."""
    return Context(RUN_ID, node_id, {"partition-id": node_id}, state, {})


def identify() -> None:
    """Sets Flower's identity of this process; outside Flower's runtime `Message(...)` fails without it.

    TaskIdentity is private to Flower 1.41 and used nowhere else in this package.
    """
    TaskIdentity.run_id = RUN_ID
    TaskIdentity.node_id = SERVER_NODE_ID
    TaskIdentity.task_id = 0
