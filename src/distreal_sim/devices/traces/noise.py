"""Noise of machines in the cloud: the result of one benchmark, run again and again on virtual machines.

The layout of Azure's VM noise data (Freischuetz et al. TUNA: Tuning Unstable and Noisy Cloud Applications.
EuroSys 2025; github.com/Azure/AzurePublicDataset): CSV with value, runtime, starttime and VM_id.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distreal_sim.devices.traces.files import read_table
from distreal_sim.devices.traces.samples import Names, Samples, column, numbers, seconds


def read(path: Path, names: Names) -> Samples:
    """Each machine's results (more is better), relative to the mean of the file, in the order of time."""
    table = read_table(path)
    values = numbers(column(table, names.level or "value", path), "the value", path)
    times_s = seconds(column(table, names.time or "starttime", path), "the time", path)
    clients = column(table, names.client or "VM_id", path).astype(str).to_numpy()
    order = np.argsort(times_s, kind="stable")
    return Samples(clients[order], times_s[order], values[order] / values.mean())
