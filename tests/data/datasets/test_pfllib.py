"""PFLlib's files: the real sample, and pickles that would run code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets.pfllib import Pfllib


def test_real_sample(real_data: Path) -> None:
    """Clients 1 and 6 of its README: 374 and 942 training images; pixels (v / 255 - 0.5) / 0.5."""
    data = Pfllib(data_dir=real_data / "pfllib-mnist-sample").load()
    assert data.shape == (1, 28, 28)
    assert data.writers is not None
    assert np.bincount(data.writers).tolist() == [0, 374, 0, 0, 0, 0, 942]
    assert (data.train.x.min(), data.train.x.max()) == (-1, 1)


class Runs:
    """Would run a command when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.system, ("echo broken > broken",)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        np.savez(tmp_path / part / "0.npz", data=np.array(Runs(), object))
    with pytest.raises(InputError, match="only numpy arrays are admitted"):
        Pfllib(data_dir=tmp_path).load()
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"x": np.zeros((2, 1, 4, 4)), "y": np.zeros(3, np.int64)},
            r"found x \(2, 1, 4, 4\) and y int64 \(3,\)",
        ),
        ({"x": [[1, 2]], "y": np.zeros(1, np.int64)}, "expected 'x' to be an array of numbers, found list"),
        ({"x": np.zeros((2, 4))}, "expected 'y' to be an array of numbers, found NoneType"),
        ({"x": np.zeros((2, 4)), "y": np.array([0, -1])}, "a whole number y >= 0"),
    ],
)
def test_other_content_is_named(tmp_path: Path, content: dict, message: str) -> None:
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "train/0.npz", data=content)
    with pytest.raises(InputError, match=message) as caught:
        Pfllib(data_dir=tmp_path).load()
    assert str(tmp_path / "train/0.npz") in str(caught.value)
