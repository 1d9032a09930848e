"""Joules of a client's round, and their columns."""

from __future__ import annotations

from distreal_sim.client.columns import Column
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
    radio_j = down + up
    return {"energy_j": compute_j + radio_j, "compute_j": compute_j, "radio_j": radio_j}
