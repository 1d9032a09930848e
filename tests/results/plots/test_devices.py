"""Figures of classes of devices and of costs, from tables written by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from distreal_sim.base.errors import InputError
from distreal_sim.results.plots.classes import by_class as by_label
from distreal_sim.results.plots.classes import classes, worst_and_mean
from distreal_sim.results.plots.clients import clients, last_scores
from distreal_sim.results.plots.to_target import to_target
from distreal_sim.results.plots.work import by_class, work
from distreal_sim.results.runs import Run

WriteRun = Callable[..., Run]

OFFERED = {0: 6e8, 1: 1e8, 2: 3e8, 3: 2e8, 4: 5e8, 5: 4e8}


def test_work_by_thirds_of_the_devices(write_run: WriteRun) -> None:
    """Offered in 30 s: clients 1 and 3 are the slow third, 2 and 5 the middle, 4 and 0 the fast one; each
    used half. Client 3 was late, so that of the slow third 0.5 of 1.5e8 count. Client 0 has a second round.
    """
    rows = [
        {"client_id": c, "macs_available": macs, "macs": int(macs / 2), "round": 1,
         "status": "dropped" if c == 3 else "completed"}
        for c, macs in OFFERED.items()
    ]  # fmt: skip
    again = {"client_id": 0, "macs_available": 6e8, "macs": 10**8, "round": 2, "status": "partial"}
    run = write_run("fedavg", [0.5, 0.6], clients=[*rows, again])
    table = by_class([run])
    assert table["offered"].tolist() == [3e8, 7e8, 17e8]
    assert table["used"].tolist() == [1.5e8, 3.5e8, 6.5e8]
    assert table["counted"].tolist() == [0.5e8, 3.5e8, 6.5e8]
    other = write_run("fedavg", [0.5, 0.6], seed=2, clients=[again | {"round": 1}])
    assert by_class([run, other])["offered"].sum() == pytest.approx((27e8 + 6e8) / 2)
    heights = [bar.get_height() for bar in work([run]).axes[0].patches if isinstance(bar, Rectangle)]
    assert heights == pytest.approx([0.3, 0.7, 1.7, 0.15, 0.35, 0.65, 0.05, 0.35, 0.65])
    endless = write_run("fedavg", [0.5], clients=[{"macs_available": float("inf")}])
    with pytest.raises(InputError, match="capacity is endless"):
        work([endless])


def test_jobs_have_lengths_of_their_own(write_run: WriteRun) -> None:
    """Client 1 offered 4e8 in 40 s, client 0 3e8 in 10 s and client 2 9e8 in 10 s: in this order."""
    jobs = [(0, 3e8, 10.0), (1, 4e8, 40.0), (2, 9e8, 10.0)]
    rows = [{"client_id": c, "macs_available": m, "start_s": 5.0, "end_s": 5.0 + s} for c, m, s in jobs]
    assert by_class([write_run("fedavg", [0.5], clients=rows)])["offered"].tolist() == [4e8, 3e8, 9e8]


def test_scores_of_clients(write_run: WriteRun) -> None:
    """The mean of the fast ones is 0.75, and the clients from the worst on are 0.2, 0.5, 0.6 and 0.9."""
    run = write_run("fedavg", [0.5, 0.6])
    assert last_scores(run)["score"].tolist() == [0.2, 0.5, 0.6, 0.9]
    by_device, by_client = clients([run]).axes
    means = by_device.containers[0].lines[0].get_ydata()  # type: ignore[attr-defined]
    assert np.asarray(means).tolist() == pytest.approx([0.2, 0.5, 0.75])
    assert np.asarray(by_client.lines[0].get_ydata()).tolist() == [0.2, 0.5, 0.6, 0.9]
    (run.path / "client_scores.csv").unlink()
    with pytest.raises(InputError, match=r"tested with evaluation\.clients: all"):
        clients([run])


def test_scores_of_classes(write_run: WriteRun) -> None:
    """Three classes, the last without examples: 0.2 and 0.6 in round 1, 0.8 and 0.5 in round 2. The worst
    tenth of two is one: 0.2, then 0.5; of all 0.4, then 0.65. Two seeds that are alike have bars of no
    length.
    """
    run = write_run("fedavg", [0.5, 0.6])
    worst, mean = worst_and_mean(by_label(run))
    assert (worst.to_dict(), mean.to_dict()) == (
        {1: 0.2, 2: 0.5},
        pytest.approx({1: 0.4, 2: 0.65}, abs=1e-12),
    )
    last, over_rounds = classes([run, write_run("fedavg", [0.5, 0.6], seed=2)]).axes
    line, _, (bars,) = last.containers[0].lines  # type: ignore[attr-defined]
    assert line.get_xydata().tolist() == [[0.0, 0.8], [1.0, 0.5]]
    assert [segment.tolist() for segment in bars.get_segments()] == [[[0, 0.8]] * 2, [[1, 0.5]] * 2]
    assert [own.get_ydata().tolist() for own in over_rounds.lines] == [[0.2, 0.5], pytest.approx([0.4, 0.65])]
    (run.path / "class_scores.csv").unlink()
    with pytest.raises(InputError, match=r"apart with evaluation\.classes: true"):
        classes([run])


def test_costs_until_a_target(write_run: WriteRun) -> None:
    """0.6 is reached in round 2 of 30 s each: 1 min, 2 GMAC, 8 MB each way, 14 J; small never gets there."""
    joules = {"energy_j": [5.0, 9.0, 2.0]}
    runs = [
        write_run("fedavg", [0.4, 0.6, 0.7], rounds=joules),
        write_run("small", [0.2, 0.3, 0.4], rounds=joules),
    ]
    panels = to_target(runs, 0.6).axes
    widths = {
        axes.get_xlabel(): [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
        for axes in panels
        if axes.get_xlabel()
    }
    assert widths == {
        "Simulated time (s)": [60.0],
        "Computation (GMAC)": [2.0],
        "Download (MB)": [8.0],
        "Upload (MB)": [8.0],
        "Energy (J)": [14.0],
    }
    assert [text.get_text() for text in panels[0].texts] == ["> end"]
    with pytest.raises(InputError, match="a target is needed"):
        to_target([write_run("fedavg", [0.4])])
