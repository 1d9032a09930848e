"""What even the weakest client can train: in time and in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from torch import nn

from distreal_sim.base.errors import naming
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.schedule import TOLERANCE
from distreal_sim.config.experiment import Experiment
from distreal_sim.devices.devices import Devices
from distreal_sim.devices.profile_checks import check_bound
from distreal_sim.methods import Fits
from distreal_sim.thinning.cost import sizes, training_macs
from distreal_sim.thinning.peak_memory import TrainingStep, peak_memory_of
from distreal_sim.thinning.structure import Counts, Structure


def fits_all(
    experiment: Experiment,
    module: nn.Module,
    structure: Structure,
    devices: Devices,
    n_examples: np.ndarray,
    planned_examples: np.ndarray,
    step: TrainingStep,
) -> Fits:
    """Whether all clients can train a sub-network of the configured network.

    n_examples, planned_examples: (n_clients,) of each client, and of its planned work, repeats counted; step:
    a training step, for its memory. Raises InputError for a wrong lower bound of the profile.
    """
    with naming(f"profile {experiment.profile.name}"):
        bound = check_bound(experiment.profile)
    with naming(f"link {experiment.link.name}"):
        link = experiment.link.slowest()

    def in_time(counts: Counts) -> bool:
        travels = sizes(structure, counts, structure.parameters)
        download_s = link.download_s(experiment.download_codec.n_bytes(travels))
        transfer_s = download_s + link.upload_s(experiment.codec.n_bytes(travels))
        time_s = max(0.0, experiment.deadline_s - transfer_s)
        with np.errstate(invalid="ignore"):  # endless capacity in no time at all
            budget_macs = bound * np.asarray(devices.macs_per_s) * time_s * (1 + TOLERANCE)
        return bool(np.all(training_macs(structure, counts) * planned_examples <= budget_macs))

    @cache
    def in_memory() -> Callable[[Counts], bool]:
        """Of each size of a largest mini-batch, the client with the least memory is looked at."""
        peak, least = peak_memory_of(module, structure, step), least_memory(experiment, devices, n_examples)
        return lambda counts: all(peak(counts, n) <= n_bytes for n, n_bytes in least.items())

    if not experiment.memory.limits:
        return in_time
    return lambda counts: in_time(counts) and in_memory()(counts)


def least_memory(experiment: Experiment, devices: Devices, n_examples: np.ndarray) -> dict[int, float]:
    """Bytes of the clients that have least, by the size of their largest mini-batch."""
    distinct, which = np.unique(n_examples, return_inverse=True)
    largest = np.array([max(batch_sizes(int(n), experiment.local)) for n in distinct])[which]
    own = devices.memories(np.arange(len(largest)))
    return {int(n): float(own[largest == n].min()) for n in np.unique(largest)}
