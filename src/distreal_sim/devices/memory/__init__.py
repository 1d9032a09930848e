"""Memory of the clients for training; one plug-in per file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.rngs import Keyed, OneOrMany


class Memory(Plugin):
    """Gives each client the memory that its training may take.

    limits: whether it is ever less than infinite.
    """

    package: ClassVar[str] = "distreal_sim.devices.memory"
    label: ClassVar[str] = "memory"

    limits: ClassVar[bool] = True

    @abstractmethod
    def memory_bytes(self, client_id: int, rng: Keyed, device_bytes: OneOrMany) -> OneOrMany:
        """Bytes of a client, for the whole run; rng: keyed generators of this client.

        device_bytes: memory of the client's device where the profile knows it, otherwise infinite. If it is
        marked `rngs.for_many`, client_id may also be an array (n,) of ids; it then may return an array (n,).
        """
