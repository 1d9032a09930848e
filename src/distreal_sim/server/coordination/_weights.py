"""Weights of stale updates."""

from __future__ import annotations

from typing import Literal

Staleness = Literal["constant", "polynomial", "hinge"]
"""The form of the weight as a function of the staleness."""


def staleness_weight(form: Staleness, a: float, b: float, staleness: int) -> float:
    """Weight of an update of this staleness, 1 for a fresh one.

    constant: 1; polynomial: (1 + staleness)^-a; hinge: 1 up to a staleness of b, then
    1 / (a (staleness - b) + 1). Xie, Koyejo, Gupta: Asynchronous Federated Optimization, arXiv 1903.03934.
    """
    if form == "polynomial":
        return float((1 + staleness) ** -a)
    if form == "hinge" and staleness > b:
        return 1 / (a * (staleness - b) + 1)
    return 1.0
