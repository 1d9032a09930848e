"""Units of capacity levels: how many MAC/s level 1 of a profile is."""

from __future__ import annotations

import numpy as np

from distreal_sim.devices.profiles import Profile


def macs_per_s_of_level_1(
    profile: Profile, planned_examples: np.ndarray, full_macs: int, deadline_s: float
) -> float | np.ndarray:
    """MAC/s of level 1: of all clients, or (n_clients,) of each where the unit is `relative_own`.

    planned_examples: (n_clients,) examples that each client's local work goes through, repeats counted;
    full_macs: of training the full model on one.
    """
    if profile.unit == "macs_per_s":
        return profile.level_1_macs_per_s or 1.0
    if profile.unit == "relative_own":
        own: np.ndarray = planned_examples.astype(float) * full_macs / deadline_s
        return own
    return float(np.median(planned_examples)) * full_macs / deadline_s
