"""Learning-rate schedules."""

from __future__ import annotations

import pytest

from distreal_sim.client.settings import Local


def test_constant() -> None:
    assert {Local(epochs=1, lr=0.3).rate(r, 9) for r in range(1, 10)} == {0.3}


def test_cosine() -> None:
    """From 0.5 to 0.1 over 5 rounds: 0.1 + 0.4 (1 + cos(pi (r - 1) / 4)) / 2. At r = 3 the cosine is 0, at
    r = 2 and 4 it is +-sqrt(1/2).
    """
    local = Local(epochs=1, lr=0.5, lr_schedule="cosine", lr_final=0.1)
    half = 0.2 * 0.5**0.5
    expected = [0.5, 0.3 + half, 0.3, 0.3 - half, 0.1]
    assert [local.rate(r, 5) for r in range(1, 6)] == pytest.approx(expected, abs=1e-12)
    assert local.rate(1, 1) == 0.5


def test_step() -> None:
    """0.8, halved in rounds 3 and 5."""
    local = Local(epochs=1, lr=0.8, lr_schedule="step", lr_milestones=(3, 5), lr_factor=0.5)
    assert [local.rate(r, 6) for r in range(1, 7)] == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2, 0.2])
