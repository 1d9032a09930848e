"""FedScale's table of devices.

Lai et al. FedScale: Benchmarking Model and System Performance of Federated Learning at Scale. ICML 2022.
Its `client_device_capacity` is a pickle of {id: {"computation": ms an example, "communication": kbit/s}}.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.devices.traces.files import read_pickle
from distreal_sim.devices.traces.samples import Names, Samples


def read(path: Path, names: Names) -> Samples:
    """The speed of each device, 1 / computation, relative to the median device.

    Raises InputError naming the device without a time above 0.
    """
    value, key = read_pickle(path), names.level or "computation"
    if not isinstance(value, dict) or not value:
        raise InputError(f"trace file {path} must be a pickle of {{id: {{'{key}': milliseconds, ...}}}}")
    times = np.empty(len(value))
    for row, (device, own) in enumerate(value.items()):
        found = own.get(key) if isinstance(own, dict) else None
        if not isinstance(found, int | float) or not 0 < found < np.inf:
            raise InputError(
                f"trace file {path}: device {device}: '{key}' must be a number above 0, not {found!r}"
            )
        times[row] = found
    return Samples(np.array(list(map(str, value))), None, np.median(times) / times)
