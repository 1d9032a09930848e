"""Joules of a client's round, their columns, and when in the round they are taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from distreal_sim.client.columns import Column
from distreal_sim.client.messages import Facts
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.energy import Energy
from distreal_sim.devices.rngs import OneOrMany

ENERGY = (
    Column("energy_j", "joules that its round took: compute_j and radio_j", "sum"),
    Column(
        "compute_j",
        "joules from the end of its download until it stopped computing, idle power included",
        "sum",
    ),
    Column("radio_j", "joules of its download and its upload, also of one that was not done in time", "sum"),
)
"""Further columns where energy is counted."""

BATTERY = (
    Column("battery_start_j", "joules in its battery at the start of its round"),
    Column("battery_charged_j", "joules that reached its battery until it was done", "sum"),
    Column("battery_end_j", "joules in its battery when it was done"),
)
"""Further columns where clients have batteries."""


def joules(
    energy: Energy,
    *,
    compute_j: OneOrMany,
    download_bytes: OneOrMany,
    download_s: OneOrMany,
    upload_bytes: OneOrMany,
    upload_s: OneOrMany,
    share: OneOrMany,
    sending_w: float | None = None,
) -> dict[str, OneOrMany]:
    """The columns of one client, or (n,) arrays of those of n.

    share: of the upload that happened before the deadline; sending_w: power of sending, that of the energy's
    radio where not given.
    """
    down = energy.download_j(download_bytes, download_s)
    sent_s = upload_s * share
    up = energy.upload_j(upload_bytes * share, sent_s) if sending_w is None else sending_w * sent_s
    return _columns(compute_j, down + up)


class Draw(NamedTuple):
    """Joules taken at constant power between two times, relative to the start of the round; at once where
    these are equal.
    """

    from_s: float
    to_s: float
    joules: float
    by_radio: bool

    def share(self, until_s: float) -> float:
        """The share of it until a time."""
        if until_s >= self.to_s:
            return 1.0
        return (until_s - self.from_s) / (self.to_s - self.from_s) if until_s > self.from_s else 0.0


def draws(energy: Energy, facts: Facts, capacity: Capacity, leaves_s: float = math.inf) -> list[Draw]:
    """The joules of a client's round in their order: download, computing by its capacity, upload.

    leaves_s: when the client leaves for good, relative to the start of the round.
    """
    compute_j, radio_j = facts.metrics["compute_j"], facts.metrics["radio_j"]
    starts_s, stops_s = facts.download_s, facts.download_s + facts.compute_s
    down_j = radio_j
    if starts_s < facts.sim_s:
        down_j = min(radio_j, energy.download_j(facts.download_bytes, starts_s))
    pieces = list(_powers(energy, capacity, starts_s, stops_s))
    total_j = sum((to_s - from_s) * watts for from_s, to_s, watts in pieces)
    if not 0 < total_j < math.inf:
        pieces, total_j = [(starts_s, stops_s, 1.0)], stops_s - starts_s
    shares = [(to_s - from_s) * watts / total_j if total_j else 1.0 for from_s, to_s, watts in pieces]
    computing = [
        Draw(from_s, to_s, compute_j * share, False)
        for (from_s, to_s, _), share in zip(pieces, shares, strict=True)
    ]
    sent_s = max(stops_s, min(facts.sim_s, leaves_s))
    return [Draw(0.0, starts_s, down_j, True), *computing, Draw(stops_s, sent_s, radio_j - down_j, True)]


def _powers(
    energy: Energy, capacity: Capacity, start_s: float, end_s: float
) -> Iterator[tuple[float, float, float]]:
    """(from_s, to_s, W) of the computing."""
    for from_s, to_s, macs_per_s in capacity.pieces(start_s):
        if from_s >= end_s:
            return
        yield from_s, min(to_s, end_s), energy.watts(macs_per_s) if macs_per_s < math.inf else math.inf


def taken(drawn: Sequence[Draw], until_s: float) -> dict[str, float]:
    """The columns of what is taken until a time."""
    compute_j, radio_j = (
        sum(draw.joules * draw.share(until_s) for draw in drawn if draw.by_radio == by_radio)
        for by_radio in (False, True)
    )
    return _columns(compute_j, radio_j)


def _columns(compute_j: OneOrMany, radio_j: OneOrMany) -> dict[str, OneOrMany]:
    return {"energy_j": compute_j + radio_j, "compute_j": compute_j, "radio_j": radio_j}
