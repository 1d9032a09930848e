"""Names of axes."""

from __future__ import annotations

import pytest

from distreal_sim.results.plots._units import in_words


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("deadline_s", "Deadline (s)"),
        ("level_1_macs_per_s", "Level 1 (MAC/s)"),
        ("upload_bytes_per_s", "Upload (bytes/s)"),
        ("size_bytes", "Size (bytes)"),
        ("changes_per_round", "Changes per round"),
        ("kinds", "Kinds"),
    ],
)
def test_keys_in_words(key: str, name: str) -> None:
    assert in_words(key) == name
