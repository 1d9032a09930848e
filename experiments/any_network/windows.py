"""Synthetic windows of a motion sensor: six activities of 30 people, in an .npz file for `dataset: arrays`.

    python experiments/any_network/windows.py data/windows.npz

A window is two seconds of three axes at 32 Hz. An activity is a direction of gravity and, on each axis, a
sine and its overtone; a person has a tempo, a strength and a sensor that sits turned on the body. To that
comes noise. Made up to have the shape of such data: it says nothing about any real sensor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

N_PEOPLE, N_ACTIVITIES, N_WINDOWS = 30, 6, 20
"""Windows: of each activity of each person; the last quarter of them is for testing."""

RATE_HZ, LENGTH = 32, 64
NOISE = 0.8


def make(seed: int = 0) -> dict[str, np.ndarray]:
    """x_train, x_test (n, 3, 64) float32; y_... (n,) the activity; writers, writers_test (n,) the person."""
    rng = np.random.default_rng(seed)
    gravity = rng.normal(size=(N_ACTIVITIES, 3))
    gravity /= np.linalg.norm(gravity, axis=1, keepdims=True)
    tempo_hz = rng.uniform(0.8, 2.5, N_ACTIVITIES)
    strength = rng.uniform(0.2, 1.0, (N_ACTIVITIES, 2, 3))
    time_s = np.arange(LENGTH) / RATE_HZ
    parts: dict[str, list[np.ndarray]] = {}
    for person in range(N_PEOPLE):
        turned = Rotation.from_rotvec(rng.normal(0, 0.5, 3))
        pace, force = rng.uniform(0.8, 1.25), rng.uniform(0.6, 1.4)
        for activity in range(N_ACTIVITIES):
            start = rng.uniform(0, 2 * np.pi, (N_WINDOWS, 1))
            angle = 2 * np.pi * pace * tempo_hz[activity] * time_s + start
            waves = np.sin(np.stack([angle, 2 * angle], axis=-1))
            x = turned.apply((force * waves @ strength[activity] + gravity[activity]).reshape(-1, 3))
            x = x.reshape(N_WINDOWS, LENGTH, 3) + rng.normal(0, NOISE, (N_WINDOWS, LENGTH, 3))
            n_test = N_WINDOWS // 4
            for name, rows in (("train", slice(n_test, None)), ("test", slice(n_test))):
                own = x[rows].transpose(0, 2, 1).astype(np.float32)
                parts.setdefault(f"x_{name}", []).append(own)
                parts.setdefault(f"y_{name}", []).append(np.full(len(own), activity))
                who = "writers" if name == "train" else "writers_test"
                parts.setdefault(who, []).append(np.full(len(own), person))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the file, a .npz")
    out: Path = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    arrays = make()
    np.savez(out, **arrays)
    print(f"{out}: {len(arrays['y_train'])} training windows, {len(arrays['y_test'])} test windows")


if __name__ == "__main__":
    main()
