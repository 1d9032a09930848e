"""Links whose speed follows a trace, which begins again when it ends.

A trace is the number of bytes that a link could have carried since its start, as a function of time. A
transfer is over once the link could have carried its bytes since it began.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from distreal_sim.devices.links import Link, Use
from distreal_sim.devices.rngs import Keyed

OFFSET = "where in its trace a client is at time 0: at the start, or at a time that is drawn once"

Offset = Literal["start", "random"]


class Trace(Protocol):
    """One direction of a link; times are absolute."""

    @property
    def period_s(self) -> float:
        """Its length, after which it repeats."""
        ...

    @property
    def mean_bytes_per_s(self) -> float:
        """Its mean speed."""
        ...

    def end_s(self, n_bytes: float, start_s: float) -> float:
        """The time at which so many bytes are through that begin at start_s."""
        ...


@dataclass(frozen=True, eq=False)
class Speeds:
    """Piecewise constant speeds.

    from_s: (n,) ascending, 0 first; bytes_per_s: (n,) from then on; not all 0.
    """

    from_s: np.ndarray
    bytes_per_s: np.ndarray
    period_s: float

    @property
    def _carried(self) -> np.ndarray:
        """(n + 1,) bytes since the start, at the start of each piece and at the end."""
        lengths = np.diff(self.from_s, append=self.period_s)
        return np.concatenate([[0.0], np.cumsum(lengths * self.bytes_per_s)])

    @property
    def mean_bytes_per_s(self) -> float:
        """See `Trace`."""
        return float(self._carried[-1]) / self.period_s

    def end_s(self, n_bytes: float, start_s: float) -> float:
        """See `Trace`."""
        if n_bytes <= 0:
            return start_s
        carried = self._carried
        loops, at_s = divmod(start_s, self.period_s)
        piece = int(np.searchsorted(self.from_s, at_s, side="right")) - 1
        wanted = carried[piece] + (at_s - self.from_s[piece]) * self.bytes_per_s[piece] + n_bytes
        more, left = divmod(wanted, carried[-1])
        if left == 0:  # the end of a loop, of which the last pieces may carry nothing
            more, left = more - 1, carried[-1]
        last = int(np.searchsorted(carried, left, side="left")) - 1
        within = self.from_s[last] + (left - carried[last]) / self.bytes_per_s[last]
        return float((loops + more) * self.period_s + within)


@dataclass(frozen=True, eq=False)
class Deliveries:
    """Opportunities to deliver a packet of packet_bytes each.

    at_s: (n,) ascending times, at least one above 0; the last one is the length of the trace.
    """

    at_s: np.ndarray
    packet_bytes: int

    @property
    def period_s(self) -> float:
        """See `Trace`."""
        return float(self.at_s[-1])

    @property
    def mean_bytes_per_s(self) -> float:
        """See `Trace`."""
        return len(self.at_s) * self.packet_bytes / self.period_s

    def end_s(self, n_bytes: float, start_s: float) -> float:
        """See `Trace`; an opportunity at the very start counts."""
        if n_bytes <= 0:
            return start_s
        loops = max(0, math.ceil(start_s / self.period_s) - 1)  # start_s is in (0, period] of the last loop
        before = int(np.searchsorted(self.at_s, start_s - loops * self.period_s, side="left"))
        last = loops * len(self.at_s) + before + math.ceil(n_bytes / self.packet_bytes) - 1
        loops, place = divmod(last, len(self.at_s))
        return float(loops * self.period_s + self.at_s[place])


@dataclass(frozen=True, eq=False)
class TracedLink:
    """A link of two traces in one round; see `Transfers`.

    start_s: when the round begins, on the clock of the traces. What a client expects is the mean speed of its
    trace.
    """

    download: Trace
    upload: Trace
    start_s: float
    latency_s: float

    is_steady = False

    def download_s(self, n_bytes: float) -> float:
        """See `Transfers`."""
        return self.latency_s + self.download.end_s(n_bytes, self.start_s) - self.start_s

    def upload_s(self, n_bytes: float, from_s: float) -> float:
        """See `Transfers`."""
        begin_s = self.start_s + from_s
        return self.latency_s + self.upload.end_s(n_bytes, begin_s) - begin_s

    def expected_upload_s(self, n_bytes: float) -> float:
        """See `Transfers`."""
        return self.latency_s + n_bytes / self.upload.mean_bytes_per_s


def traced(
    pairs: Sequence[tuple[Trace, Trace]],
    offset: Offset,
    latency_s: float,
    client_id: int,
    use: Use,
    rng: Keyed,
) -> TracedLink:
    """The link of a client: the (download, upload) pair number client_id, modulo how many there are."""
    download, upload = pairs[client_id % len(pairs)]
    longest_s = max(download.period_s, upload.period_s)
    ahead_s = rng("offset").random() * longest_s if offset == "random" else 0.0
    return TracedLink(download, upload, float(use.start_s + ahead_s), latency_s)


def slowest_of(pairs: Sequence[tuple[Trace, Trace]], latency_s: float) -> Link:
    """The slowest mean speeds."""
    down, up = (min(trace.mean_bytes_per_s for trace in traces) for traces in zip(*pairs, strict=True))
    return Link(down, up, latency_s)
