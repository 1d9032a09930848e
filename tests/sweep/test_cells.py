"""From a sweep's file to its cells, and what is said of mistakes before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.sweep.cells import load_cells, text

from .toy_sweep import SWEEP, write_sweep

DIRICHLET = {"name": "dirichlet", "alpha": 0.1}


def test_every_combination_once_with_its_own_config(tmp_path: Path) -> None:
    """2 methods x 2 values x 2 seeds; a method is named before its options, however they stand."""
    sweep, cells, notes = load_cells(write_sweep(tmp_path))
    assert [cell.name for cell in cells] == [
        f"{method}, changes_per_round={changes}, seed {seed}"
        for method in ("drop", "thin")
        for changes in (0, 3)
        for seed in (7, 8)
    ]
    assert len({cell.hash for cell in cells}) == 8
    for cell in cells:
        experiment = cell.experiment
        fedavg = cell.place.variant == "drop"
        assert experiment.method.name == ("fedavg" if fedavg else "distreal")
        assert experiment.overrun == ("drop" if fedavg else "partial")
        changes = experiment.profile.changes_per_round  # type: ignore[attr-defined]
        assert cell.shown == {"method": cell.place.variant, "profile.changes_per_round": f"{changes:g}"}
        assert cell.place.setting == {"profile.changes_per_round": f"{changes:g}"}
        assert cell.hash == experiment.hash()
    assert (sweep.compare, notes) == (("method",), [])


def test_the_width_of_small_is_tuned_like_a_learning_rate(tmp_path: Path) -> None:
    """`auto` beside numbers, all of them compared."""
    grid = {"method.width": ["auto", 0.25, 0.5], "local.lr": [0.1, 0.3]}
    path = write_sweep(tmp_path, {"method": "small"}, grid=grid, baseline=None, seeds=[7])
    _, cells, _ = load_cells(path)
    widths = [cell.experiment.method.width for cell in cells]  # type: ignore[attr-defined]
    assert widths == ["auto", "auto", 0.25, 0.25, 0.5, 0.5]
    assert [cell.place.variant for cell in cells[::2]] == ["width=auto", "width=0.25", "width=0.5"]
    assert {cell.place.setting["local.lr"] for cell in cells} == {"0.1", "0.3"}


def test_overrides_are_the_experiments_or_the_sweeps(tmp_path: Path) -> None:
    """The command line comes after the file; a variant comes after both."""
    path = write_sweep(tmp_path, overrides={"rounds": 9, "deadline_s": 5, "overrun": "wait"})
    _, cells, _ = load_cells(path, ["rounds=2", "seeds=[3]", "baseline=thin", "local.lr=1e-3"])
    assert len(cells) == 4
    for cell in cells:
        experiment = cell.experiment
        assert (experiment.rounds, experiment.deadline_s, experiment.seed) == (2, 5, 3)
        assert experiment.local.lr == 0.001
        assert cell.place.baseline == "thin"
        assert experiment.overrun == ("drop" if cell.place.variant == "drop" else "wait")


def test_zipped_keys_change_together(tmp_path: Path) -> None:
    """Without an axis of the method all axes are compared."""
    axis = {"model.width": [4, 8], "local.lr": [0.1, 0.05]}
    path = write_sweep(tmp_path, grid={"rounds": [1, 2]}, zip=[axis], baseline=None, seeds=[1])
    sweep, cells, _ = load_cells(path)
    found = [(c.experiment.rounds, c.experiment.model.width, c.experiment.local.lr) for c in cells]  # type: ignore[attr-defined]
    assert found == [(1, 4, 0.1), (1, 8, 0.05), (2, 4, 0.1), (2, 8, 0.05)]
    assert cells[1].place.variant == "rounds=1, width=8, lr=0.05"
    assert cells[1].place.setting == {}
    assert sweep.compare == ("rounds", "model.width", "local.lr")


def test_compare_chooses_what_is_compared(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, compare=["profile.changes_per_round"], baseline="changes_per_round=0")
    _, cells, _ = load_cells(path)
    assert {cell.place.variant for cell in cells} == {"changes_per_round=0", "changes_per_round=3"}
    assert [cell.place.setting for cell in cells[:4]] == [{"method": "drop"}] * 4


def test_whole_plugins_are_values(tmp_path: Path) -> None:
    """An axis may be a plug-in with its options; its name speaks for itself."""
    grid = {"method": ["fedavg", "distreal"], "partition": [{"name": "iid"}, DIRICHLET]}
    _, cells, _ = load_cells(write_sweep(tmp_path, grid=grid, baseline="fedavg", seeds=[1]))
    assert [cell.place.label for cell in cells] == [
        "fedavg, partition=iid",
        "fedavg, partition=dirichlet alpha=0.1",
        "distreal, partition=iid",
        "distreal, partition=dirichlet alpha=0.1",
    ]
    assert cells[1].experiment.partition.alpha == 0.1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1, "0.1"), (2, "2"), (True, "true"), (None, "null"), ("iid", "iid"), ([1, 2], "[1, 2]"),
        ({"name": "tiers", "levels": [1]}, "tiers levels=[1]"), ({"steps": 3}, '{"steps": 3}'),
    ],
)  # fmt: skip
def test_values_as_text(value: Any, shown: str) -> None:
    assert text(value) == shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": None}, r"key 'seeds' is missing"),
        ({"seeds": []}, r"seeds = \[\] must be a list of at least 1"),
        ({"gird": {}}, r"unknown key 'gird' = {}; did you mean 'grid'\?"),
        ({"base": "gone.yaml"}, r"cell 'drop, changes_per_round=0', seed 7: .*gone.yaml: no such file"),
        ({"grid": {"rounds": []}}, r"grid\.rounds is empty"),
        ({"grid": {"round": [1]}}, r"cell 'round=1', seed 7: .*unknown key 'round' = 1; did you mean 'ro"),
        ({"grid": {"seed": [1]}}, r"seed: a sweep lists its seeds, for example seeds: \[1, 2, 3\]"),
        ({"grid": {"status": {"a": {}}}}, r"an axis must not be called 'status'"),
        ({"grid": {"rounds": [1, 1]}}, r"rounds: 1 is given twice"),
        ({"zip": [{"rounds": [1, 2], "deadline_s": [1]}]}, r"zip, axis 1: its lists must be equally long"),
        ({"zip": [{"method.name": ["small"]}]}, r"method\.name is set by two axes, method and method\.name"),
        ({"overrides": {"profile.changes_per_round": 1}}, r"changes_per_round is swept, and set by an"),
        ({"overrides": {"method": "small"}}, r"method is set by an override, and again by drop, thin of the"),
        ({"grid": {"partition": [DIRICHLET]}, "overrides": {"partition.alpha": 2}}, r"alpha is swept,"),
        ({"baseline": "dorp"}, r"unknown baseline 'dorp'; did you mean 'drop'\?"),
        ({"compare": ["metod"]}, r"unknown axis in compare 'metod'; did you mean 'method'\?"),
        ({"targets": [".inf"]}, r"targets\.0 = '.inf' must be a number"),
        (
            {"grid": {"method": {"a": {"method.name": "fedavg", "method.filters": "ordered"}}}},
            r"cell 'a', seed 7: .*unknown key 'method\.filters' = 'ordered'",
        ),
        (
            {"grid": {"checkpoint_every": [1, 2]}, "baseline": None},
            r"cell 'checkpoint_every=2', seed 7 is the same run as cell 'checkpoint_every=1, seed 7'",
        ),
    ],
)  # fmt: skip
def test_mistakes(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    """One line that names the sweep's file, the cell and the key."""
    changes = {"baseline": None} | changes if "grid" in changes else changes
    with pytest.raises(InputError) as caught:
        load_cells(write_sweep(tmp_path, **changes))
    assert re.fullmatch(rf".*sweep\.yaml.*: .*{message}.*", str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "method.name=small",
            "method.name is set by an override, and again by drop, thin of the axis method",
        ),
        ("method=small", "method is set by an override, and again by drop, thin of the axis method"),
        ("method={name: small}", "method is set by an override, and again by drop, thin of the axis method"),
        ("overrun=wait", "overrun is set by an override, and again by drop of the axis method"),
        ("profile.changes_per_round=1", "profile.changes_per_round is swept, and set by an override too"),
    ],
)
def test_a_swept_key_on_the_command_line(override: str, message: str, tmp_path: Path) -> None:
    """It would be lost in every cell, or in some: refused, whichever way the key is written."""
    with pytest.raises(InputError) as caught:
        load_cells(write_sweep(tmp_path), [override])
    assert message in str(caught.value)


def test_other_options_of_a_swept_plugin_can_be_set(tmp_path: Path) -> None:
    """Values that are names leave their options alone."""
    path = write_sweep(tmp_path, grid={"method": ["fedavg", "distreal"]}, baseline=None, seeds=[1])
    _, cells, _ = load_cells(path, ["overrun=wait"])
    assert [cell.experiment.overrun for cell in cells] == ["wait", "wait"]


def test_the_bundled_sweep_loads() -> None:
    folder = Path(__file__).parent.parent.parent / "configs" / "sweeps"
    for path in folder.glob("*.yaml"):
        assert load_cells(path)[1]
    assert set(SWEEP) <= {"base", "grid", "seeds", "baseline", "targets"}
