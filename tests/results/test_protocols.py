"""Quality under a budget, cost to a target, robustness to change; every number is derived in its test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.results.protocols import COSTS, cost, points, quality, robust
from distreal_sim.results.runs import Run

Curve = Sequence[tuple[float, float]]

ONE: Curve = [(1, 0.3), (2, 0.5), (3, 0.45), (4, 0.6)]


def table(curves: Mapping[tuple[str, str, int], Curve]) -> pd.DataFrame:
    """Of (setting, method, seed) the evaluations (t, accuracy): t s, round t, 10 t MACs, t bytes each way."""
    rows = [
        {"method": method, "setting": setting, "seed": seed, "accuracy": accuracy}
        | {"sim_s": t, "round": t, "macs": 10 * t, "download_bytes": t, "upload_bytes": t}
        for (setting, method, seed), curve in curves.items()
        for t, accuracy in curve
    ]
    return pd.DataFrame(rows)


def test_quality_is_the_best_so_far_within_the_budget() -> None:
    """3.9 s admit the evaluations at 1, 2 and 3, the best of which is 0.5; 25 MACs admit those at 1 and 2."""
    one = table({("", "a", 1): ONE})
    for budget, best, binding in (
        ({"sim_s": 3.9}, 0.5, "sim_s"),
        ({"sim_s": 4}, 0.6, ""),
        ({"sim_s": 9, "macs": 15}, 0.3, "macs"),
        ({"sim_s": 1.5, "macs": 25}, 0.3, "sim_s"),
    ):
        row = quality(one, budget).iloc[0]
        assert (row["quality"], row["binding"], row["tested"]) == (best, binding, "1 of 1")


def test_a_run_that_was_not_tested_within_the_budget_has_no_quality() -> None:
    """With 0.5 s nothing was tested; with 1 s seed 1 has 0.3 and seed 2, tested at 2 first, has none."""
    two = table({("", "a", 1): ONE, ("", "a", 2): ONE[1:]})
    assert math.isnan(quality(two, {"sim_s": 0.5}).iloc[0]["quality"])
    row = quality(two, {"sim_s": 1}).iloc[0]
    assert (row["quality"], row["tested"]) == (0.3, "1 of 2")


def test_a_target_must_be_held() -> None:
    """0.5 is there at 2, lost at 3 and there again at 4: held once at 2, never twice in a row."""
    one = table({("", "a", 1): ONE})
    assert cost(one, 0.5, hold=1).iloc[0]["sim_s"] == 2
    assert cost(one, 0.5, hold=1).iloc[0]["macs"] == 20
    twice = cost(one, 0.5, hold=2).iloc[0]
    assert (twice["sim_s"], twice["reached"]) == (math.inf, "0 of 1")
    assert cost(one, 0.45, hold=2).iloc[0]["sim_s"] == 2


def test_runs_that_do_not_get_there_count_as_infinite() -> None:
    """a takes 2, 4 and for ever: median 4, not the mean 3. b takes 4, 2 and for ever: ratios 1/2, 2, left
    out.

    c never gets there but in seed 1, at 8: median infinite, ratios to b 8 / 4 and infinite / 2.
    """
    at = {2: [(2, 0.9)], 4: [(2, 0.1), (4, 0.9)], 8: [(8, 0.9)], 0: [(9, 0.1)]}
    seeds = {"a": (2, 4, 0), "b": (4, 2, 0), "c": (8, 0, 0)}
    found = cost(
        table({("", m, s): at[t] for m, times in seeds.items() for s, t in enumerate(times)}), 0.9, 1, "b"
    ).set_index("method")
    assert found.loc["a", ["sim_s", "reached"]].tolist() == [4, "2 of 3"]
    assert found.loc["a", "sim_s_ratio"] == pytest.approx((0.5 + 2) / 2)
    assert found.loc["c", "sim_s"] == math.inf
    assert found.loc["c", "macs_ratio"] == math.inf
    assert math.isnan(found.loc["b", "sim_s_ratio"])


def test_retention_and_slow_down() -> None:
    """a keeps .54 / .60 and .30 / .60 of its accuracy; the target .5 comes at 4 in A, 8 in B, never in C.

    b keeps all of its .4 in B and C, and never has the target: no ratio. In A and B a leads; in C b does.
    """
    curves = {
        ("A", "a", 1): [(4, 0.6)], ("B", "a", 1): [(8, 0.54)], ("C", "a", 1): [(9, 0.3)],
        ("A", "b", 1): [(4, 0.4)], ("B", "b", 1): [(4, 0.4)], ("C", "b", 1): [(4, 0.4)],
    }  # fmt: skip
    found = robust(table(curves), "A", target=0.5, hold=1).set_index(["method", "setting"])
    assert found.loc[("a", "B"), "retention"] == pytest.approx(0.9)
    assert found.loc[("a", "B"), "slow_down"] == 2
    assert found.loc[("a", "worst: C"), "retention"] == pytest.approx(0.5)
    assert found.loc[("a", "C"), "slow_down"] == math.inf
    assert found.loc[("a", "C"), ["nominal_rank", "rank"]].tolist() == [1, 2]
    assert found.loc[("b", "C"), ["retention", "nominal_rank", "rank"]].tolist() == [1, 2, 1]
    assert math.isnan(found.loc[("b", "B"), "slow_down"])


def test_costs_count_since_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rounds of 10 MACs and 3 and 4 bytes, tested after the second and the third: 20 and 30 MACs."""
    rounds = pd.DataFrame(
        {
            "round": [1, 2, 3], "sim_s": [5.0, 10.0, 15.0], "test_accuracy": [math.nan, 0.4, 0.5],
            "macs": [10.0] * 3, "download_bytes": [3.0] * 3, "upload_bytes": [4.0] * 3,
        }
    )  # fmt: skip
    run = Run(tmp_path_factory.mktemp("run"), {"method": {"name": "fedavg"}}, rounds, "fedavg", 7)
    found = points([run])
    assert found[["seed", *COSTS]].to_numpy().tolist() == [[7, 10, 2, 20, 6, 8], [7, 15, 3, 30, 9, 12]]
    assert found["accuracy"].tolist() == [0.4, 0.5]


def test_mistakes() -> None:
    one = table({("A", "a", 1): ONE})
    for call, message in (
        (lambda: quality(one, {}), "a budget is needed"),
        (lambda: quality(one, {"mac": 1}), "did you mean 'macs'"),
        (lambda: cost(one, 1.2), "must be an accuracy"),
        (lambda: cost(one, 0.5, 0), "at least 1"),
        (lambda: cost(one, 0.5, 1, "b"), "unknown reference 'b'"),
        (lambda: robust(one, "B"), "unknown setting 'B'"),
        (lambda: robust(one, "A"), "one setting only"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_joules_are_a_cost_where_all_runs_count_them(tmp_path: Path) -> None:
    """5 J a round: 10 J at the test after the second, 15 J after the third; 12 J end at the second."""
    rounds = pd.DataFrame(
        {
            "round": [1, 2, 3], "sim_s": [5.0, 10.0, 15.0], "test_accuracy": [math.nan, 0.4, 0.5],
            "macs": [10.0] * 3, "download_bytes": [3.0] * 3, "upload_bytes": [4.0] * 3,
        }
    )  # fmt: skip
    config = {"method": {"name": "fedavg"}}
    counted = Run(tmp_path, config, rounds.assign(energy_j=5.0), "fedavg", 7)
    found = points([counted])
    assert found["energy_j"].tolist() == [10, 15]
    assert quality(found, {"energy_j": 12.0})["quality"].tolist() == [0.4]
    assert cost(found, 0.5, hold=1)["energy_j"].tolist() == [15]
    mixed = points([counted, Run(tmp_path, config, rounds, "fedavg", 8)])
    assert "energy_j" not in mixed
    with pytest.raises(InputError, match="unknown cost 'energy_j'"):
        quality(mixed, {"energy_j": 12.0})
