"""CPU use of PlanetLab's virtual machines: what they leave free is the capacity.

The traces of CoMon as CloudSim uses them (github.com/beloglazov/planetlab-workload-traces): a folder for each
day, in it a text file for each virtual machine, and in that 288 whole numbers, the CPU use in percent every
5 minutes.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.devices.traces.files import content_of
from distreal_sim.devices.traces.samples import Names, Samples

PERIOD_S = 300.0
"""Seconds between two numbers."""


def read(path: Path, names: Names) -> Samples:
    """Level 1 - use / 100 of each machine of a day, packed into one tar file, plain or compressed.

    Raises InputError naming the machine whose file holds anything but numbers from 0 to 100.
    """
    use: dict[str, np.ndarray] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
            for member in archive:
                if (file := archive.extractfile(member) if member.isfile() else None) is not None:
                    use[Path(member.name).name] = _percent(file.read(), member.name, path)
    except FileNotFoundError:
        content_of(path)
        raise
    except (OSError, EOFError, tarfile.TarError) as error:
        why = str(error).partition(":")[0]  # further lines say it again for each kind of compression
        raise InputError(
            f"trace file {path} is no tar file of a PlanetLab day ({why}); pack the day's folder: "
            "tar czf 20110303.tar.gz 20110303"
        ) from error
    if not use:
        raise InputError(f"trace file {path} has no files of virtual machines in it")
    lengths = [len(own) for own in use.values()]
    times_s = np.concatenate([PERIOD_S * np.arange(n) for n in lengths])
    return Samples(np.repeat(list(use), lengths), times_s, 1 - np.concatenate(list(use.values())) / 100)


def _percent(content: bytes, machine: str, path: Path) -> np.ndarray:
    try:
        use = np.array(content.split(), np.float64)
        right = len(use) > 0 and bool(((use >= 0) & (use <= 100)).all())
    except ValueError:
        right = False
    if not right:
        raise InputError(f"trace file {path}: {machine} must hold numbers from 0 to 100, in percent")
    return use
