"""Devices at full speed and full power."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from distreal_sim.devices.controllers import Controller, Work
from distreal_sim.devices.energy import Energy


class Full(Controller):
    """Nothing is set: a device computes with all its capacity and sends with its most power."""

    acts: ClassVar[bool] = False

    def settings(self, work: Work, energy: Energy, deadline_s: float) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(len(work.macs)), work.most_w
