"""Times of steps from a calibrated device: the work by hand, the fit of known times, and what runs charge."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from command import distreal_sim
from torch import nn
from toys import toy

import distreal_sim as ds
from distreal_sim.base.errors import InputError
from distreal_sim.client.batches import batch_sizes
from distreal_sim.config.build import build
from distreal_sim.config.charges import described_levels
from distreal_sim.devices.catalogue import FOLDER, device
from distreal_sim.inspection.calibration import Timed, calibrated
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.measured.step_times import MACS_ALONE, StepTimes, errors, fit, predicted_s
from distreal_sim.thinning.measured.work import Amount, Work, work_of

FACT = {"value": 2e9, "source": "distreal-sim calibrate", "sure": "measured"}


def test_work_by_hand() -> None:
    """Five images of 4 x 4 through 2 filters of 3 x 3 and a linear layer of 32 x 3, and with one filter.

    The convolution has no gradient of its input, so 2 passes: 18 weights x 16 places x 2 x 5 MACs, and a line
    of 64 bytes for the one or two channels of each of the 16 places, an image and pass. The linear layer has
    3 passes, and a line for its 3 outputs. Of one filter stay 9 + 1 + 48 weights that are gathered, and the 3
    of the linear layer's bias. Seventeen filters take two lines.
    """
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(32, 3))
    structure = find_groups(net, torch.zeros(2, 1, 4, 4))
    assert work_of(net, structure, (2,), 5, redrawn=False) == {
        "convolution": (2, 2880, 10240),
        "linear": (3, 1440, 960),
        "update": (4, 0, 476),
    }
    assert work_of(net, structure, (1,), 5, redrawn=True) == {
        "convolution": (2, 1440, 10240),
        "linear": (3, 720, 960),
        "update": (4, 0, 244),
        "redraw": (3, 0, 232),
    }
    wide = nn.Sequential(nn.Conv2d(1, 17, 3, padding=1))
    work = work_of(wide, find_groups(wide, torch.zeros(2, 1, 4, 4)), (), 5, redrawn=False)
    assert work["convolution"].n_bytes == 2 * 5 * 16 * 128


KNOWN: StepTimes = {
    "convolution": {"call_s": 2e-4, "mac_s": 3e-11, "byte_s": 1e-9},
    "linear": {"call_s": 1e-4, "mac_s": 5e-11, "byte_s": 0.0},
    "update": {"call_s": 0.0, "mac_s": 0.0, "byte_s": 4e-10},
}


def random_works(n: int) -> list[Work]:
    """Amounts of every kind that are proportional to nothing."""
    drawn = np.random.default_rng(0).uniform(0.1, 1.0, (n, len(KNOWN), 3)) * (10, 1e8, 1e6)
    return [{kind: Amount(*own) for kind, own in zip(KNOWN, row, strict=True)} for row in drawn.tolist()]


def test_known_times_are_found() -> None:
    """Without noise the fit is exact, and MACs alone explain only a part."""
    works = random_works(20)
    seconds = [predicted_s(KNOWN, work) for work in works]
    by_hand = sum(
        own.calls * KNOWN[k]["call_s"] + own.macs * KNOWN[k]["mac_s"] + own.n_bytes * KNOWN[k]["byte_s"]
        for k, own in works[0].items()
    )
    assert seconds[0] == pytest.approx(by_hand)
    found = fit(works, seconds)
    assert found.keys() == KNOWN.keys()
    for kind, rates in KNOWN.items():
        assert found[kind] == pytest.approx(rates, rel=1e-6, abs=1e-16)
    assert max(errors(found, works, seconds)) < 1e-9
    by_macs = fit(works, seconds, MACS_ALONE)
    assert all(own["call_s"] == own["byte_s"] == 0 for own in by_macs.values())
    assert errors(by_macs, works, seconds).median > 0.05


def test_errors_by_hand() -> None:
    """Predicted 1 s each, measured 1, 2 and 4: off by 0, 1/2 and 3/4; nine tenths lie below 0.7."""
    works = [{"linear": Amount(1, 0, 0)}] * 3
    found = errors({"linear": {"call_s": 1.0}}, works, [1.0, 2.0, 4.0])
    assert found == pytest.approx((0.5, 0.7))


def test_the_errors_are_of_what_the_fit_has_not_seen() -> None:
    """Steps of the true times are fitted; one that takes twice as long is not, and is off by a half."""
    works = random_works(13)
    steps = [
        Timed("net", 4, (1,), i > 0, 10 - i, work, i < 12, predicted_s(KNOWN, work) * (1 + (i == 12)))
        for i, work in enumerate(works)
    ]
    found = calibrated(steps)
    assert found.held_out == pytest.approx((0.5, 0.5))
    assert found.device.macs_per_s.value == pytest.approx(10 / steps[0].step_s, rel=1e-4)


def device_file(path: Path, **step_times: Any) -> str:
    """A device of these times; a name has blanks for underscores."""
    times = {kind.replace("_", " "): own for kind, own in step_times.items()}
    path.write_text(
        yaml.safe_dump({"title": "mine", "kind": "board", "macs_per_s": FACT, "step_times": times})
    )
    return str(path)


def test_a_run_is_charged_by_the_device(tmp_path: Path) -> None:
    """Where MACs take 1 ns each, a step's share is that of its MACs, to six digits, and a client of 1 GMAC/s
    is the device. Where passes alone take time, every level takes as long as the full step.
    """
    ns = {kind: {"mac_s": 1e-9} for kind in ("convolution", "linear", "update", "redraw")}
    one = {kind: {"call_s": 1e-3} for kind in ("convolution", "linear")} | {"update": {}, "redraw": {}}
    for name, times in (("macs", ns), ("calls", one)):
        experiment = toy(method="distreal", cost=device_file(tmp_path / f"{name}.yaml", **times))
        task = build(experiment)
        full = task.macs_per_example(task.full)
        assert task.charges is not None
        for level in described_levels(experiment.method, task):
            share = round(Fraction(level.macs_per_example, full), 6) if name == "macs" else Fraction(1)
            charged = task.charges.of(level.counts, None, level.macs_per_example)
            assert charged == ceil(share * full)
        if name == "macs":
            assert task.charges.macs_per_s == pytest.approx(1e9)
    fleet = {"name": "fleet", "devices": {"macs": 1}, "files": [str(tmp_path / "macs.yaml")]}
    assert build(toy(profile=fleet)).devices.capacity(0, 0.0)(0.0) == 2e9


def test_smaller_last_batches_are_charged_right(tmp_path: Path) -> None:
    """Of 20 examples a client has steps of 16 and 4. A layer's pass takes 1 ms however small the batch, and
    nothing else takes time: the sum of what all clients' examples are charged is that of their steps.
    """
    times = {"convolution": {"call_s": 1e-3}, "linear": {"call_s": 1e-3}, "update": {}}
    experiment = toy(method="fedavg", cost=device_file(tmp_path / "calls.yaml", **times))
    task = build(experiment)
    passes = sum(1 + layer.n_gradients for layer in task.structure.layers)
    sizes = [batch_sizes(len(own), task.local) for own in task.split]
    n_steps, n_examples = sum(map(len, sizes)), sum(map(sum, sizes))
    assert n_examples / n_steps < task.local.batch_size
    assert task.charges is not None
    assert task.charges.macs_per_s is not None
    charged_s = task.macs_per_example(task.full) * n_examples / task.charges.macs_per_s
    assert charged_s == pytest.approx(1e-3 * passes * n_steps)


def test_what_a_device_file_cannot_tell(tmp_path: Path) -> None:
    """One line each: a device without times, a kind without times, steps that train a part."""
    bundled = str(Path(str(FOLDER)) / "raspberry_pi_4b.yaml")
    with pytest.raises(
        InputError, match=r"raspberry_pi_4b.yaml: the device has no step_times; `distreal-sim"
    ):
        build(toy(cost=bundled))
    some = device_file(tmp_path / "some.yaml", convolution={"mac_s": 1e-9}, update={})
    with pytest.raises(InputError, match=r"some.yaml: there are no times of layers of the kind linear"):
        build(toy(cost=some, method="fedavg"))
    every = {kind: {"call_s": 1e-3} for kind in ("convolution", "linear", "update")}
    whole = device_file(tmp_path / "whole.yaml", **every)
    with pytest.raises(InputError, match=r"method cocofl trains a part of the parameters"):
        build(toy(cost=whole, method="cocofl"))
    with pytest.raises(InputError, match=r"step_times.linear.mac_s: Input should be greater than or equal"):
        build(toy(cost=device_file(tmp_path / "bad.yaml", linear={"mac_s": -1.0})))


def test_the_command(tmp_path: Path) -> None:
    """It writes a device that costs and fleets read; no claim about times."""
    options = "--model mlp --batch 4 --vectors 3 --repeats 1 --csv steps.csv"
    done = distreal_sim("calibrate", *options.split(), cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "device.yaml"
    assert "error of predicted times, 1 step that the fit has not seen: median" in done.stdout
    found = device(str(tmp_path / "device.yaml"))
    assert set(found.step_times) == {"linear", "update", "redraw"}
    assert found.made["models"] == ["mlp"]
    assert len((tmp_path / "steps.csv").read_text().splitlines()) == 5
    task = build(toy(model="mlp", method="heterofl", cost=str(tmp_path / "device.yaml")))
    assert task.charges is not None
    with pytest.raises(InputError, match=r"unknown model 'mpl'|model mpl"):
        ds.calibrate(models=["mpl"])
