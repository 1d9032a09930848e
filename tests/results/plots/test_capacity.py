"""One client's capacity, keep rates and time, derived by hand."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from numpy.testing import assert_allclose

from distreal_sim.base.errors import InputError
from distreal_sim.results.plots.capacity import _ranges, capacity
from distreal_sim.results.runs import Run

WriteRun = Callable[..., Run]


def test_numbers_and_units(write_run: WriteRun) -> None:
    """Rounds of 30 s; 6e8 and 3e8 MACs offered: 20 and 10 MMAC/s; 3e8 MACs used: 10 MMAC/s in both, drawn
    half-way through rounds 1 and 3, at 15 s and 75 s. The second update was lost: drawn hollow.
    """
    clients = [
        {"round": 1, "macs_available": 6e8, "macs": 3 * 10**8, "mean_keep_rate": 0.5, "sim_s": 15.0},
        {"round": 3, "macs_available": 3e8, "macs": 3 * 10**8, "mean_keep_rate": 0.9, "sim_s": 30.0,
         "status": "dropped"},
        {"round": 2, "client_id": 8},
    ]  # fmt: skip
    offered, kept, took = capacity([write_run("distreal", [0.5] * 3, clients=clients)]).axes
    assert [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in offered.patches] == [
        pytest.approx((0, 30, 20)), pytest.approx((60, 30, 10)),
    ]  # fmt: skip
    for axes, values in ((offered, [10, 10]), (kept, [0.5, 0.9]), (took, [15, 30])):
        joined, done, lost = axes.lines[:3]
        assert_allclose(joined.get_xydata(), [[15, values[0]], [75, values[1]]])
        assert_allclose(done.get_xydata(), [[15, values[0]]])
        assert_allclose(lost.get_xydata(), [[75, values[1]]])
        assert lost.get_markerfacecolor() == "white"
    assert offered.get_ylabel() == "Offered (grey)\nand used (MMAC/s)"
    assert took.get_xlabel() == "Simulated time (s)"
    assert took.lines[3].get_ydata()[0] == 30  # the deadline


def test_the_client_selected_most_often_and_the_lowest_seed_are_drawn(write_run: WriteRun) -> None:
    """Client 8 is selected twice by the run of seed 1; seed 2, which always selects 7, is not drawn."""
    second = write_run("small", [0.5] * 3, seed=2, clients=[{"round": r} for r in (1, 2, 3)])
    selected = [{"round": r, "client_id": c} for r, c in ((1, 7), (2, 8), (3, 8))]
    first = write_run("small", [0.5] * 3, seed=1, clients=selected)
    assert capacity([second, first]).axes[0].get_title() == "client 8"
    assert_allclose(capacity([second, first], client_id=7).axes[1].lines[0].get_xdata(), [15])


def test_unlimited_capacity_has_no_bar(write_run: WriteRun) -> None:
    run = write_run("fedavg", [0.5], clients=[{"macs_available": float("inf")}])
    assert not capacity([run]).axes[0].patches


def test_a_running_run_shows_what_it_has_committed(write_run: WriteRun) -> None:
    """Two parts of one round each, no whole file yet: both are drawn."""
    run = write_run("fedavg", [0.5, 0.5], clients=[{"round": 1}, {"round": 2}])
    whole = run.path / "clients.parquet"
    table = pd.read_parquet(whole)
    (run.path / "clients.parts").mkdir()
    for number in (1, 2):
        table[table["round"] == number].to_parquet(run.path / "clients.parts" / f"{number:06d}.parquet")
    whole.unlink()
    assert_allclose(capacity([run]).axes[1].lines[0].get_xdata(), [15, 45])


def test_a_client_never_selected(write_run: WriteRun) -> None:
    run = write_run("fedavg", [0.5], clients=[{"client_id": c} for c in (1, 2, 3, 7)])
    with pytest.raises(InputError, match=r"client 5 was never selected \(clients: 1-3, 7\)"):
        capacity([run], client_id=5)
    with pytest.raises(InputError, match="no client was selected"):
        capacity([])


def test_ranges_stop_after_ten() -> None:
    assert _ranges([0, 1, 4]) == "0-1, 4"
    assert _ranges(list(range(0, 40, 2))) == "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, ..."
