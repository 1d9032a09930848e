"""How long a run may take on this machine."""

from __future__ import annotations

from typing import Any

import pytest
from toys import whole_toy

from distreal_sim.config.build import build
from distreal_sim.inspection.estimate import WallTimes, forecast

NINE_STEPS: dict[str, Any] = {
    "n_clients": 10,
    "partition": {"name": "iid"},
    "model": {"name": "small_cnn"},
    "profile": {"name": "constant", "level": 1.0},
    "method": {"name": "fedavg"},
}
"""Ten clients with 143 or 144 of the 1,437 digits each, as powerful as the full model needs."""


def test_wall_times_add_up() -> None:
    """Steps of 1 s at 100 MACs and 3 s at 300 MACs: 2 s at 200, and the ends beyond. A job of one step at
    level 1 (9 steps of the full model = 462,720 MACs > 300: 3 s each) takes 0.5 + 27 s; dropped ones nothing.
    Testing 360 examples in batches of 500 is one batch, 1,000 are two; 4 statistics batches of 0.25 s.
    """
    times = WallTimes(16, ((100, 1.0), (300, 3.0)), 0.5, 2.0, 0.25, 4)
    assert [times.step_wall_s(m) for m in (50, 100, 200, 900)] == [1, 1, 2, 3]
    experiment = whole_toy(**NINE_STEPS)
    done = forecast(experiment, build(experiment), [0])
    weak = whole_toy(**{**NINE_STEPS, "profile": {"name": "constant", "level": 0.5}, "overrun": "drop"})
    lost = forecast(weak, build(weak), [0])
    assert times.training_wall_s(done) == pytest.approx(27.5, abs=1e-9)
    assert times.training_wall_s([*done, *lost]) == pytest.approx(13.75, abs=1e-9)
    assert times.evaluation_wall_s(360, experiment.evaluation) == 3.0
    assert times.evaluation_wall_s(1000, experiment.evaluation) == 5.0
