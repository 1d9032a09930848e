"""The accuracy figure: its numbers, units, colours and legend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from distreal_sim.base.errors import InputError
from distreal_sim.results.plots._curves import evaluations, mean_curve
from distreal_sim.results.plots._lines import _KNOWN, method_line
from distreal_sim.results.plots._units import si_unit, time_unit
from distreal_sim.results.plots.accuracy import accuracy
from distreal_sim.results.runs import Run

WriteRun = Callable[..., Run]


def labelled_lines(figure: Figure) -> dict[str, object]:
    """Lines by legend text; matplotlib names what has none with a leading underscore."""
    return {line.get_label(): line for line in figure.axes[0].lines if not line.get_label().startswith("_")}


def test_mean_of_seeds_evaluated_at_different_places() -> None:
    """A: 0.2 from 1, 0.4 from 3, 0.6 from 5. B: 0.3 from 2, 0.5 from 4.
    Both have a value from 2 on, B ends at 4: (0.2 + 0.3) / 2 at 2, (0.4 + 0.3) / 2 at 3, (0.4 + 0.5) / 2
    at 4. Half-widths: t(0.975; 1) |a - b| / 2 with t = 12.706.
    """
    a = (np.array([1.0, 3.0, 5.0]), np.array([0.2, 0.4, 0.6]))
    b = (np.array([2.0, 4.0]), np.array([0.3, 0.5]))
    curve = mean_curve([a, b])
    assert_allclose(curve.x, [2, 3, 4])
    assert_allclose(curve.mean, [0.25, 0.35, 0.45], rtol=1e-12)
    assert_allclose(curve.half, [12.706 * 0.05] * 3, rtol=1e-4)
    assert_allclose(curve.lowest, [0.2, 0.3, 0.4])
    assert_allclose(curve.highest, [0.3, 0.4, 0.5])


def test_a_seed_that_only_just_began_leaves_one_point() -> None:
    """A ends at 1 before B begins at 2: both have a value at 2, (0.2 + 0.4) / 2."""
    curve = mean_curve([(np.array([1.0]), np.array([0.2])), (np.array([2.0, 3.0]), np.array([0.4, 0.5]))])
    assert_allclose((curve.x, curve.mean), ([2], [0.3]))


def test_consumption_adds_up_over_rounds_without_evaluation(write_run: WriteRun) -> None:
    """Evaluated after rounds 2 and 3: 2e9 and 3e9 MACs, 8 and 12 MB; 60 and 90 s."""
    run = write_run("fedavg", [None, 0.5, 0.6])
    at = {"round": [2, 3], "sim_s": [60, 90], "macs": [2e9, 3e9], "upload_bytes": [8e6, 12e6]}
    for x, expected in at.items():
        along, y = evaluations(run, x)
        assert_allclose(along, expected)
        assert_allclose(y, [0.5, 0.6])


@pytest.mark.parametrize(
    ("x", "label", "expected"),
    [
        ("sim_s", "Simulated time (s)", [60, 90]),
        ("round", "Round", [2, 3]),
        ("macs", "Computation of all clients (GMAC)", [2, 3]),
        ("upload_bytes", "Upload of all clients (MB)", [8, 12]),
    ],
)
def test_axis_and_line(write_run: WriteRun, x: str, label: str, expected: list[float]) -> None:
    """The drawn line carries the numbers above in the unit that the axis names."""
    figure = accuracy([write_run("fedavg", [None, 0.5, 0.6])], x=x)
    line = labelled_lines(figure)["fedavg"]
    assert figure.axes[0].get_xlabel() == label
    assert_allclose(line.get_xdata(), expected)
    assert_allclose(line.get_ydata(), [0.5, 0.6])
    assert line.get_drawstyle() == "steps-post"


def test_units_change_where_numbers_would_get_long() -> None:
    assert [time_unit(s) for s in (179, 180, 10_799, 10_800, 259_200)] == [
        (1, "s"), (60, "min"), (60, "min"), (3600, "h"), (86400, "d"),
    ]  # fmt: skip
    assert [si_unit(n, "B") for n in (0, 999, 1000, 5e9)] == [(1, "B"), (1, "B"), (1e3, "kB"), (1e9, "GB")]
    assert si_unit(3.2e12, "MAC") == (1e12, "TMAC")


def test_band_is_the_interval_cut_at_zero_and_one(write_run: WriteRun) -> None:
    """0.5 +- 12.706 * 0.01 = [0.3729, 0.6271]; 0.9 +- 12.706 * 0.05 = [0.26, 1.54], cut to 1."""
    figure = accuracy([write_run("small", [0.49, 0.85], seed=1), write_run("small", [0.51, 0.95], seed=2)])
    (band,) = figure.axes[0].collections
    y = band.get_paths()[0].vertices[:, 1]
    assert_allclose(sorted(set(y.round(4))), [0.2647, 0.3729, 0.6271, 1.0], atol=1e-4)


def test_one_seed_has_no_band(write_run: WriteRun) -> None:
    assert not accuracy([write_run("small", [0.4, 0.8])]).axes[0].collections


def test_a_target_nobody_reaches_is_in_sight(write_run: WriteRun) -> None:
    figure = accuracy([write_run("small", [0.4, 0.5])], targets=[0.8])
    assert [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_label().startswith("_")] == [0.8]
    low, high = figure.axes[0].get_ylim()
    assert low < 0.4 < 0.8 < high


def test_a_method_looks_the_same_whatever_else_is_shown(write_run: WriteRun) -> None:
    fedavg, distreal, own = (write_run(method, [0.4, 0.5]) for method in ("fedavg", "distreal", "my.module"))
    alone = labelled_lines(accuracy([own]))["my.module"]
    together = labelled_lines(accuracy([fedavg, distreal, own]))
    for look in ("get_color", "get_linestyle", "get_marker"):
        assert getattr(alone, look)() == getattr(together["my.module"], look)()
    assert len({line.get_color() for line in together.values()}) == 3


def test_no_two_known_methods_look_alike() -> None:
    """The first eight differ in colour and in marker, so also in print without colour."""
    looks = [method_line(method) for method in _KNOWN]
    assert len(set(looks)) == len(_KNOWN)
    assert len({colour for colour, _, _ in looks[:8]}) == 8
    assert len({marker for _, _, marker in looks[:8]}) == 8


def test_the_legend_covers_no_data(write_run: WriteRun) -> None:
    """Eight methods with long names: the legend's box ends above the axes' box and inside the figure."""
    runs = [write_run(f"a_method_with_a_long_name_{i}", [0.1 * i, 0.1]) for i in range(8)]
    figure = accuracy(runs)
    figure.draw_without_rendering()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert legend.y0 >= axes.y1
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    assert legend.y1 <= figure.bbox.y1


def test_the_legend_states_the_number_of_seeds(write_run: WriteRun) -> None:
    runs = [write_run("small", [0.5], seed=1), write_run("small", [0.5], seed=2), write_run("fedavg", [0.5])]
    same, different = accuracy(runs[:2]).legends[0], accuracy(runs).legends[0]
    assert same.get_title().get_text() == "mean of 2 seeds, band: 95 % interval"
    assert [text.get_text() for text in different.get_texts()] == ["small (n = 2)", "fedavg (n = 1)"]


def test_mistakes(write_run: WriteRun) -> None:
    with pytest.raises(InputError, match=r"unknown x axis 'sims'; did you mean 'sim_s'\?"):
        accuracy([write_run("small", [0.5])], x="sims")
    with pytest.raises(InputError, match="no run has a value of accuracy yet"):
        accuracy([write_run("small", [None])])


def test_joules_where_they_are_counted(write_run: WriteRun) -> None:
    """2 kJ a round: 2 and 4 kJ; a run without them is named."""
    run = write_run("small", [0.5, 0.6])
    counted = replace(run, rounds=run.rounds.assign(energy_j=2000.0))
    figure = accuracy([counted], x="energy_j")
    assert figure.axes[0].get_xlabel() == "Energy of all clients (kJ)"
    assert_allclose(labelled_lines(figure)["small"].get_xdata(), [2, 4])  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"rounds\.csv has no column energy_j; .* if its config sets energy"):
        accuracy([counted, run], x="energy_j")
