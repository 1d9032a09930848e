"""Jobs on a time axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from distreal_sim.base.errors import InputError
from distreal_sim.results.plots.timeline import jobs, timeline
from distreal_sim.results.runs import Run

WriteRun = Callable[..., Run]


def test_jobs_of_rounds(write_run: WriteRun) -> None:
    """Rounds end at 30 and 60 s. Client 1 works for 15 s of each, in the second 2 s down, 9 s of computing
    and 4 s up; client 2 is late in the second, which lasts its 30 s, and computes for 28; client 3 takes no
    part.
    """
    run = write_run(
        "fedavg",
        [0.5, 0.6],
        clients=[
            {"round": 1, "client_id": 1},
            {"round": 2, "client_id": 1, "download_s": 2.0, "compute_s": 9.0},
            {"round": 2, "client_id": 2, "status": "dropped", "sim_s": 30.0, "compute_s": 28.0},
            {"round": 2, "client_id": 3, "status": "dropped", "sim_s": 0.0},
        ],
    )
    found = jobs(run)
    assert list(found[["client_id", "start_s", "end_s", "merged"]].itertuples(index=False, name=None)) == [
        (1, 0.0, 15.0, True),
        (1, 30.0, 45.0, True),
        (2, 30.0, 60.0, False),
    ]
    assert list(jobs(run, 1)["client_id"]) == [1]
    axes = timeline([run]).axes[0]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [(bar.get_x(), bar.get_width(), bool(bar.get_hatch())) for bar in bars] == [
        (0.0, 15.0, False),
        (30.0, 2.0, False),
        (32.0, 9.0, False),
        (41.0, 4.0, False),
        (30.0, 28.0, False),
        (30.0, 30.0, True),
    ]
    assert [float(np.asarray(line.get_xdata())[0]) for line in axes.lines] == [30.0, 60.0]


def test_jobs_with_times_of_their_own(write_run: WriteRun) -> None:
    """A job that began before the server's last step, and one that the server gave up."""
    own = {"start_s": 10.0, "end_s": 50.0, "cancelled": 0.0}
    clients = [own | {"round": 2, "client_id": 4}, own | {"round": 2, "client_id": 5, "cancelled": 1.0}]
    found = jobs(write_run("fedavg", [0.5, 0.6], clients=clients))
    assert list(found[["start_s", "end_s", "merged"]].itertuples(index=False, name=None)) == [
        (10.0, 50.0, True),
        (10.0, 50.0, False),
    ]


def test_nobody_at_work(write_run: WriteRun) -> None:
    with pytest.raises(InputError, match="no client had a job"):
        timeline([write_run("fedavg", [0.5], clients=[{"sim_s": 0.0}])])
