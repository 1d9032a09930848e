"""Shares of clients and of MACs, derived by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from numpy.testing import assert_allclose

from distreal_sim.base.errors import InputError
from distreal_sim.results.plots.participation import participation, shares
from distreal_sim.results.runs import Run

WriteRun = Callable[..., Run]


def test_shares_are_pooled_over_seeds(write_run: WriteRun) -> None:
    """Of 4 clients in one seed 2, 1, 1, and of 12 in the other 9, 0, 3: (11, 1, 4) / 16. MACs: 1e9 of 2e9
    and 2e9 of 4e9 offered, then nothing was offered: no share.
    """
    one = write_run("fedavg", [0.5, 0.5], seed=1, rounds={"macs_available": [2e9, 0.0]})
    other = write_run(
        "fedavg", [0.5, 0.5], seed=2,
        rounds={"n_selected": 12, "n_completed": 9, "n_partial": 0, "n_dropped": 3, "macs": 2 * 10**9,
                "macs_available": [4e9, 0.0]},
    )  # fmt: skip
    table = shares([one, other])
    assert_allclose(table[["completed", "partial", "dropped"]], [[11 / 16, 1 / 16, 4 / 16]] * 2)
    assert_allclose(table["used"], [0.5, float("nan")])
    assert table[["first_round", "last_round"]].to_numpy().tolist() == [[1, 1], [2, 2]]


def test_a_long_run_is_pooled_into_bins(write_run: WriteRun) -> None:
    """130 rounds make 44 bins of three, the last of one. Only round 2 selects 8 and completes 8:
    (2 + 8 + 2) / (4 + 8 + 4) = 0.75 in the first bin, 0.5 elsewhere.
    """
    selected, completed = [4] * 130, [2] * 130
    selected[1] = completed[1] = 8
    run = write_run("fedavg", [0.5] * 130, rounds={"n_selected": selected, "n_completed": completed})
    table = shares([run])
    assert len(table) == 44
    assert_allclose(table["completed"], [0.75] + [0.5] * 43)
    assert table[["first_round", "last_round"]].iloc[[0, -1]].to_numpy().tolist() == [[1, 3], [130, 130]]


def test_unlimited_capacity_uses_no_share_of_it(write_run: WriteRun) -> None:
    run = write_run("fedavg", [0.5], rounds={"macs_available": float("inf")})
    assert shares([run])["used"].tolist() == [0.0]
    assert participation([run]).axes[0].get_ylim() == (0.0, 1.0)


def test_waiting_for_stragglers_can_use_more_than_was_offered(write_run: WriteRun) -> None:
    """3e9 of 2e9: the line at 1.5 stays in sight."""
    figure = participation([write_run("fedavg", [0.5], rounds={"macs": 3 * 10**9})])
    assert figure.axes[0].get_ylim()[1] > 1.5


def test_one_panel_per_experiment_and_every_column_has_its_rounds(write_run: WriteRun) -> None:
    """Five experiments: three above two; the panel above the empty place shows its own tick labels."""
    runs = [write_run(method, [0.5] * 3) for method in "abcde"]
    figure = participation(runs)
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == list("abcde")
    labelled = [axes.xaxis.get_tick_params()["labelbottom"] for axes in shown]
    assert labelled == [False, False, True, True, True]


def test_no_run() -> None:
    with pytest.raises(InputError, match="no run to draw"):
        participation([])
