"""Clients without batteries."""

from __future__ import annotations

from distreal_sim.devices.batteries import Battery


class Mains(Battery):
    """Energy never runs out."""
