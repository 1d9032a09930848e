"""Network links: how long bytes take to travel; one plug-in per file."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.rngs import Keyed, OneOrMany


class Use(NamedTuple):
    """The round in which a link is used.

    number: from 1; start_s: its start, absolute; n_selected: the clients that are selected for it. Of many
    clients' rounds: arrays (n,).
    """

    number: OneOrMany
    start_s: OneOrMany
    n_selected: OneOrMany


class Transfers(Protocol):
    """How long transfers of one client take in one round, in seconds; times are relative to its start.

    The steady one is `Link`. That of many clients takes numbers of bytes (n,), one for each of n clients.
    """

    @property
    def is_steady(self) -> bool:
        """Whether a transfer takes the same time whenever it begins, which a client then knows before."""
        ...

    def download_s(self, n_bytes: OneOrMany) -> OneOrMany:
        """Duration of a download that begins with the round."""
        ...

    def upload_s(self, n_bytes: OneOrMany, from_s: OneOrMany) -> OneOrMany:
        """Duration of an upload that begins at from_s."""
        ...

    def expected_upload_s(self, n_bytes: OneOrMany) -> OneOrMany:
        """Duration of an upload as the client expects it, who knows no future speed."""
        ...


class Link(NamedTuple):
    """Speeds of one client's link in one round, in bytes per simulated second; inf is legal.

    latency_s: what each transfer takes besides. With arrays (n,) the links of n clients.
    """

    download_bytes_per_s: OneOrMany
    upload_bytes_per_s: OneOrMany
    latency_s: OneOrMany = 0.0

    @property
    def is_steady(self) -> bool:
        """True: a transfer takes the same time whenever it begins."""
        return True

    def download_s(self, n_bytes: OneOrMany) -> OneOrMany:
        """Seconds of a download of so many bytes."""
        return self.latency_s + n_bytes / self.download_bytes_per_s

    def upload_s(self, n_bytes: OneOrMany, from_s: OneOrMany = 0.0) -> OneOrMany:
        """Seconds of an upload of so many bytes, whenever it begins."""
        return self.latency_s + n_bytes / self.upload_bytes_per_s

    def expected_upload_s(self, n_bytes: OneOrMany) -> OneOrMany:
        """Seconds of an upload as the client expects it: those that it takes."""
        return self.upload_s(n_bytes)


class Radio(NamedTuple):
    """The radio of one client's uploads: B log2(1 + g P) bit/s, P between least_w and most_w.

    most_bytes_per_s: what the network takes, whatever the radio could send.
    """

    bandwidth_hz: float
    gain_per_w: OneOrMany
    least_w: float
    most_w: float
    most_bytes_per_s: float = math.inf

    def bytes_per_s(self, power_w: float) -> OneOrMany:
        """Speed at a power."""
        own = self.bandwidth_hz * np.log2(1 + self.gain_per_w * power_w) / 8
        return np.minimum(own, self.most_bytes_per_s)


class Links(Plugin):
    """Gives each client its link in each round.

    steady: whether it gives `Link`s; otherwise they are other `Transfers`. radios: whether clients have a
    `radio`.
    """

    package: ClassVar[str] = "distreal_sim.devices.links"
    label: ClassVar[str] = "link"

    steady: ClassVar[bool] = True
    radios: ClassVar[bool] = False

    def radio(self, client_id: int, use: Use, rng: Keyed) -> Radio | None:
        """The radio of a client's uploads, whose power can be set; None where there is no model of it."""
        return None

    @abstractmethod
    def link(self, client_id: int, use: Use, rng: Keyed) -> Transfers:
        """The client's link in a round; rng: keyed generators that belong to this client.

        If it is marked `rngs.for_many`, client_id may also be an array (n,) of ids, and `use` hold arrays;
        the speeds of the Link then may be arrays (n,).
        """

    @abstractmethod
    def slowest(self) -> Link:
        """A link of which no client expects a transfer to take longer."""
