"""A run that was killed a hundred times ends with the bytes of a run that was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from .compare import assert_same_results
from .test_resume import crash, uninterrupted, write_config


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills_between_two_writes(seed: int, tmp_path: Path) -> None:
    """The run may end under the kills: a life of 150 lines is longer than a round."""
    config = write_config(tmp_path, rounds=40, checkpoint_every=1)
    assert crash(config, tmp_path / "out", seed=seed, n_kills=100, where="files") > 20
    assert_same_results(tmp_path / "out", uninterrupted(config, tmp_path / "whole"))
