"""Hints at the valid name that is probably meant."""

from __future__ import annotations

import pytest

from distreal_sim.base.errors import closest

KEYS = ["rounds", "seed", "stop", "n_clients", "clients_per_round", "checkpoint_every", "evaluation"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rouns", "rounds"),
        ("client", "n_clients"),  # 12 of 15 letters are in both, as a pair; of clients_per_round 12 of 23
        ("check", "checkpoint_every"),  # it begins with it
        ("ev", None),  # two letters begin many names
        ("nope", None),  # of 8 letters only 'op' is in both, twice
        ("", None),
    ],
)
def test_a_name_is_meant_if_it_differs_little_or_is_begun(name: str, meant: str | None) -> None:
    assert closest(name, KEYS) == meant
