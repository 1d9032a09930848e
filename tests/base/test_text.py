"""Numbers and durations for people."""

from __future__ import annotations

import math

from distreal_sim.base.text import compact, duration, percent, si


def test_figures_for_people() -> None:
    assert [si(x, "B") for x in (0, 7, 999.6, 96_232, 999_999, 1.5e10)] == [
        "0 B", "7 B", "1 kB", "96.2 kB", "1 MB", "15 GB"
    ]  # fmt: skip
    assert si(math.inf, "MAC/s") == "inf MAC/s"
    assert [duration(s) for s in (0.123, 42, 600, 9000, 864000)] == [
        "0.12 s",
        "42 s",
        "10 min",
        "2.5 h",
        "10 days",
    ]
    assert [percent(x) for x in (0, 0.0159, 0.25, 1)] == ["0 %", "1.6 %", "25 %", "100 %"]
    assert compact([16, 16, 16, 8, 4, 4]) == "3x16 8 4 4"
