"""Controllers: at which speed a device computes and at which power it sends; one plug-in per file."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.energy import Energy


@dataclass(frozen=True, eq=False)
class Work:
    """What m clients plan to do, as they answer when the server asks at the start of a round; arrays (m,).

    macs: of the planned work with the whole network; macs_per_s: their capacity; download_s: of the model;
    upload_bytes: of the update. The radio of the upload: bandwidth_hz; gain_per_w, signal / noise for each
    watt sent; least_w and most_w, its powers; most_bytes_per_s, what the network behind it takes; latency_s.
    A client without such a radio has a bandwidth of NaN and an upload that lasts latency_s.
    """

    macs: np.ndarray
    macs_per_s: np.ndarray
    download_s: np.ndarray
    upload_bytes: np.ndarray
    bandwidth_hz: np.ndarray
    gain_per_w: np.ndarray
    least_w: np.ndarray
    most_w: np.ndarray
    most_bytes_per_s: np.ndarray
    latency_s: np.ndarray


class Controller(Plugin):
    """Sets the devices of a round.

    acts: whether it sets anything; if not, devices compute as fast as they can and send at full power.
    """

    package: ClassVar[str] = "distreal_sim.devices.controllers"
    label: ClassVar[str] = "controller"

    acts: ClassVar[bool] = True

    @abstractmethod
    def settings(self, work: Work, energy: Energy, deadline_s: float) -> tuple[np.ndarray, np.ndarray]:
        """((m,) shares of their capacity at which clients compute, (m,) watts at which they send)."""
