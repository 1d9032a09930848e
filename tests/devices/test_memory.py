"""Memory of the clients: the plug-ins, and rounds in which not every step fits."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bundled import example, plugin
from drawn import given
from safetensors.numpy import load_file
from toys import toy
from variants import by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.config.build import build
from distreal_sim.devices.memory import Memory
from distreal_sim.devices.memory.tiers import Tiers
from distreal_sim.devices.profiles.constant import Constant
from distreal_sim.devices.profiles.fleet import Fleet
from distreal_sim.devices.rngs import ClientRngs, bulk
from distreal_sim.run import run

GIB = 2.0**30


@pytest.mark.parametrize("name", names(Memory))
def test_of_many_is_that_of_each(name: str) -> None:
    """Positive, the same whenever it is asked for, and for many clients at once that of each."""
    memory, ids = plugin(Memory, name, example(Memory, name)), np.arange(40)
    assert bulk(memory.memory_bytes) is not None
    many = np.broadcast_to(memory.memory_bytes(ids, ClientRngs(3, "memory", ids), 4 * GIB), 40)  # type: ignore[arg-type]
    one = [float(memory.memory_bytes(i, ClientRngs(3, "memory", i), 4 * GIB)) for i in range(40)]
    assert many.tolist() == one
    assert min(one) > 0


def test_tiers() -> None:
    """Weights 1 and 3: numbers below 0.25 are the first; without weights those below 0.5."""
    sizes = {"sizes_bytes": (1e6, 2e6)}
    drawn = (0.2, 0.3, 0.6)
    found = [float(Tiers(**sizes, weights=(1, 3)).memory_bytes(0, given(tier=[u]), math.inf)) for u in drawn]
    assert found == [1e6, 2e6, 2e6]
    assert [float(Tiers(**sizes).memory_bytes(0, given(tier=[u]), math.inf)) for u in drawn] == [
        1e6,
        1e6,
        2e6,
    ]
    with pytest.raises(ValueError, match="weights has 1 entry, sizes_bytes has 2"):
        Tiers(**sizes, weights=(1,))


def test_of_devices() -> None:
    """Half of 4 and of 8 GiB for the two boards of a fleet, and no limit for a phone of unknown memory; the
    board that gives a client its speed gives it its memory.
    """
    devices = {"raspberry_pi_4b": 1, "raspberry_pi_5_8gb": 1, "snapdragon_865": 1}
    profile = {"name": "fleet", "devices": devices}
    task = build(toy(profile=profile, memory={"name": "of_device", "share": 0.5}, method="fedavg"))
    fleet = Fleet(devices=devices)
    limits = dict(zip(fleet._levels.tolist(), (2 * GIB, 4 * GIB, math.inf), strict=True))
    seen = set()
    for client_id in range(len(task.split)):
        speed = task.devices.capacity(client_id, 0.0)(0.0)
        assert task.devices.memory_bytes(client_id) == limits[speed]
        seen.add(speed)
    assert len(seen) > 1


STRONG = {"name": "constant", "level": 3.0}


def rows(folder: Path, **changes: Any) -> pd.DataFrame:
    """The clients' rows of a verified run, equal to those of the clock alone."""
    experiment = toy(rounds=2, **changes)
    run(experiment, folder / "trained", grid="serial", verify=True)
    run(experiment, folder / "timed", training=False, verify=True)
    trained, timed = (pd.read_parquet(folder / name / "clients.parquet") for name in ("trained", "timed"))
    pd.testing.assert_frame_equal(*(t.drop(columns="train_loss") for t in (trained, timed)), check_exact=True)
    return trained


@pytest.mark.parametrize("method", by_default(["distreal", "heterofl", "fjord"], ["distreal"]))
def test_methods_choose_among_what_fits(tmp_path: Path, method: str) -> None:
    """Every client has time for the whole network, and memory for some levels: it takes the largest."""
    task = build(toy(method=method))
    levels = sorted(toy(method=method).method.all_levels(task), key=lambda own: own.macs_per_example)
    peaks = [task.peak_bytes(level.counts, 16) for level in levels]
    limit = (min(peaks) + max(peaks)) / 2
    fitting = [peak for peak in peaks if peak <= limit]
    assert 0 < len(fitting) < len(peaks)
    found = rows(tmp_path, method=method, profile=STRONG, memory={"name": "constant", "size_bytes": limit})
    assert (found.status == "completed").all()
    assert (found.peak_memory_bytes <= limit).all()
    if method != "fjord":  # which draws among the widths
        full_batches = found[found.n_examples >= 16]
        largest = levels[len(fitting) - 1]
        assert (full_batches.macs == full_batches.n_examples * largest.macs_per_example).all()


@pytest.mark.parametrize("method", ["fedavg", "fiarse", "distreal", "heterofl"])
def test_nothing_fits(tmp_path: Path, method: str) -> None:
    """A kilobyte: every client is out, did nothing and sent nothing, and the model stays as it was."""
    found = rows(tmp_path, method=method, memory={"name": "constant", "size_bytes": 1000})
    assert (found.status == "out_of_memory").all()
    assert (found[["macs", "n_steps_done", "upload_bytes", "download_bytes"]] == 0).all(axis=None)
    assert found.peak_memory_bytes.isna().all()
    table = pd.read_csv(tmp_path / "trained" / "rounds.csv")
    assert (table[["n_completed", "n_partial", "n_dropped", "n_diverged"]] == 0).all(axis=None)
    model = load_file(tmp_path / "trained" / "model.safetensors")
    initial = dict(build(toy(method=method)).module.named_parameters())
    assert all(np.array_equal(model[name], own.detach().numpy()) for name, own in initial.items())


def test_some_clients_are_out(tmp_path: Path) -> None:
    """Of clients with a kilobyte or enough, the second ones train as ever."""
    sizes = {"name": "tiers", "sizes_bytes": [1000, 1e9]}
    found = rows(tmp_path, method="fedavg", profile=STRONG, memory=sizes, clients_per_round=12)
    assert set(found.status) == {"completed", "out_of_memory"}
    assert (found.groupby("client_id").status.nunique() == 1).all()


def test_no_column_without_the_key(tmp_path: Path) -> None:
    run(toy(method="fedavg", rounds=1), tmp_path, training=False)
    assert "peak_memory_bytes" not in pd.read_parquet(tmp_path / "clients.parquet")


def test_small_is_the_widest_that_fits_every_memory() -> None:
    """Every client has time for the whole network. Of the widths of its 64 channels, k / 64, `auto` takes the
    widest whose step at the largest mini-batch fits into the tier of least memory.
    """
    whole = build(toy(method="small", profile=STRONG))
    assert not whole.is_narrowed
    largest = max(min(int(n), 16) for n in whole.split.sizes)
    limit = whole.peak_bytes(whole.full, largest) * 0.6
    tiers = {"name": "tiers", "sizes_bytes": [limit, 1e12]}
    task = build(toy(method="small", profile=STRONG, memory=tiers))
    widths = [
        tuple(max(1, math.floor(k * c / max(whole.full) + 0.5)) for c in whole.full) for k in range(1, 65)
    ]
    fitting = [counts for counts in widths if whole.peak_bytes(counts, largest) <= limit]
    assert task.full == fitting[-1] != whole.full
    assert task.peak_bytes(task.full, largest) == whole.peak_bytes(task.full, largest)
    with pytest.raises(
        InputError, match="cannot train even the narrowest network before the deadline and in"
    ):
        build(toy(method="small", profile=STRONG, memory={"name": "constant", "size_bytes": 10.0}))


def test_memories_of_a_fleet_at_once() -> None:
    """Those of each client, also where a profile of the user's answers client by client."""

    class Own(Constant):
        def memory_bytes(self, client_id: int, rng: Any) -> float:
            return 100.0 * (client_id + 1)

    task = build(toy(memory={"name": "of_device"}, method="fedavg"))
    for profile in (Own(level=1.0), Fleet(devices={"raspberry_pi_4b": 1, "raspberry_pi_5_8gb": 2})):
        devices = replace(task.devices, profile=profile)
        one = [devices.memory_bytes(i) for i in range(5)]
        assert devices.memories(np.arange(5)).tolist() == one
    assert one != [one[0]] * 5
