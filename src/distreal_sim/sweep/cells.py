"""The cells of a sweep: every combination of the points of its axes, with every seed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.values import folder_of, located, plain
from distreal_sim.config import KINDS, Experiment, dump_yaml, flat_keys, load_experiment
from distreal_sim.results.sweep_table import FACTS, Place, assignments
from distreal_sim.sweep.settings import Sweep, load_sweep

RESERVED = {*FACTS, "label", "hash"}
"""Columns of sweep.csv that an axis must not be called."""

END = "...\n"
"""YAML's end of a document that is a single value."""


@dataclass(frozen=True)
class Point:
    """One point of an axis: its values in sweep.csv, and the keys that it sets."""

    shown: Mapping[str, str]
    sets: Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """named: its points are variants with names of their own, which need no `key=` before them."""

    points: tuple[Point, ...]
    named: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns in sweep.csv."""
        return tuple(self.points[0].shown)

    @property
    def keys(self) -> set[str]:
        """The experiment's keys that some point sets."""
        return {key for point in self.points for key in point.sets}


@dataclass(frozen=True)
class Cell:
    """One run of a sweep. shown: its swept keys and their values, as in sweep.csv."""

    place: Place
    shown: Mapping[str, str]
    experiment: Experiment
    hash: str

    @property
    def name(self) -> str:
        """For people: variant, setting and seed."""
        return f"{self.place.label}, seed {self.experiment.seed}"


def load_cells(
    config: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[Sweep, list[Cell], list[str]]:
    """The sweep of a config, its cells, all of them checked, and notes on options that were removed.

    The sweep comes back with `compare` filled in. Raises InputError naming the file, the cell and the key.
    """
    sweep = load_sweep(config, overrides)
    try:
        axes = axes_of(sweep)
        typed = {text.partition("=")[0] for text in overrides} & set(sweep.overrides)
        for axis, key in itertools.product(axes, sorted(typed)):
            if hidden := _hidden(axis, key, sweep.overrides[key]):
                raise _swept(axis, key, hidden)
        cells, notes = cells_of(sweep)
        compare = tuple(compared_columns(sweep, axes))
    except InputError as error:
        source = "sweep" if isinstance(config, Mapping) else config
        raise InputError(f"{source}: {error}") from None
    return sweep.model_copy(update={"compare": compare}), cells, notes


def axes_of(sweep: Sweep) -> list[Axis]:
    """The axes of grid, then those of zip. Raises InputError where they cannot be told apart."""
    axes: list[Axis] = []
    for name, values in sweep.grid.items():
        if not values:
            raise InputError(f"grid.{name} is empty; an axis needs a value")
        if isinstance(values, Mapping):
            points = [Point({name: variant}, sets) for variant, sets in values.items()]
        else:
            points = [Point({name: text(value)}, {name: value}) for value in values]
        axes.append(Axis(tuple(points), isinstance(values, Mapping)))
    for number, lists in enumerate(sweep.zip, start=1):
        lengths = {key: len(values) for key, values in lists.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise InputError(
                f"zip, axis {number}: its lists must be equally long, not {lengths or 'none at all'}"
            )
        rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        axes.append(Axis(tuple(Point({k: text(v) for k, v in row.items()}, row) for row in rows), False))
    _check_axes(axes, sweep)
    return axes


def compared_columns(sweep: Sweep, axes: Sequence[Axis]) -> list[str]:
    """Columns of the axes that are compared: those that set the method's options, or else all."""
    columns = [column for axis in axes for column in axis.columns]
    if sweep.compare is not None:
        for name in sweep.compare:
            if name not in columns:
                raise unknown("axis in compare", name, columns)
        return [column for column in columns if column in sweep.compare]
    of_method = [
        column
        for axis in axes
        if "method" in axis.columns or any(key.split(".")[0] == "method" for key in axis.keys)
        for column in axis.columns
    ]
    return of_method or columns


def cells_of(sweep: Sweep) -> tuple[list[Cell], list[str]]:
    """Every cell, checked, in the order of the axes and then of the seeds; and notes on removed options.

    Raises InputError naming the cell and the key that is wrong.
    """
    axes = axes_of(sweep)
    compared = compared_columns(sweep, axes)
    named = {axis.columns[0] for axis in axes if axis.named}
    cells: dict[str, Cell] = {}
    notes: dict[str, None] = {}
    for points in itertools.product(*(axis.points for axis in axes)):
        shown = {column: value for point in points for column, value in point.shown.items()}
        place = Place(
            _variant({c: shown[c] for c in compared}, named) or sweep.base.stem,
            {column: value for column, value in shown.items() if column not in compared},
            sweep.baseline,
            sweep.targets,
        )
        sets = [
            *_names_first(sweep.overrides, sweep.base.parent),
            *_names_first({k: v for p in points for k, v in p.sets.items()}, sweep.base.parent),
        ]
        for seed in sweep.seeds:
            name = f"cell '{place.label}', seed {seed}"
            try:
                experiment, said = load_experiment(sweep.base, [*sets, f"seed={seed}"])
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
            notes |= dict.fromkeys(said)
            cell = Cell(place, shown, experiment, experiment.hash())
            if cell.hash in cells:
                raise InputError(
                    f"{name} is the same run as cell '{cells[cell.hash].name}': they differ in nothing that "
                    "could change the result; take one of them out"
                )
            cells[cell.hash] = cell
    labels = {cell.place.variant: None for cell in cells.values()}
    if sweep.baseline is not None and sweep.baseline not in labels:
        raise unknown("baseline", sweep.baseline, labels)
    return list(cells.values()), list(notes)


def text(value: Any) -> str:
    """A swept value for people and tables: `{name: dirichlet, alpha: 0.1}` is 'dirichlet alpha=0.1'."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return " ".join([value["name"], *(f"{k}={text(v)}" for k, v in value.items() if k != "name")])
    return json.dumps(value, default=str)


def _variant(shown: Mapping[str, str], named: set[str]) -> str:
    """The label of a cell in a comparison; names speak for themselves, other values need their key."""
    own = [c in named or c.removesuffix(".name") in KINDS for c in shown]
    pairs = zip(shown.values(), assignments(shown), own, strict=True)
    return ", ".join(value if alone else assignment for value, assignment, alone in pairs)


def _names_first(sets: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """KEY=VALUE texts; a plug-in is named before its options are set.

    Relative paths begin at `folder`, but for values that say otherwise.
    """
    for key in sorted(sets, key=lambda key: key.removesuffix(".name") not in KINDS):
        value = dump_yaml(plain(sets[key]), default_flow_style=True, width=1_000_000, allow_unicode=True)
        yield located(f"{key}={value.removesuffix(END).strip()}", folder_of(sets[key]) or folder)


def _check_axes(axes: Sequence[Axis], sweep: Sweep) -> None:
    columns = [column for axis in axes for column in axis.columns]
    for column in columns:
        if column in RESERVED or column.startswith("sim_s_to_"):
            raise InputError(f"an axis must not be called '{column}': sweep.csv has a column of that name")
        if columns.count(column) > 1:
            raise InputError(f"'{column}' is an axis twice, under grid and zip or twice under zip")
    for axis in axes:
        shown = [tuple(point.shown.values()) for point in axis.points]
        for values in shown:
            if shown.count(values) > 1:
                raise InputError(f"{', '.join(axis.columns)}: {', '.join(values)} is given twice")
    for one, other in itertools.combinations(axes, 2):
        for key in sorted(one.keys & other.keys):
            raise InputError(f"{key} is set by two axes, {one.columns[0]} and {other.columns[0]}")
    for axis, key in itertools.product(axes, sorted(sweep.overrides)):
        hidden = _hidden(axis, key, sweep.overrides[key])
        if hidden and (not axis.named or len(hidden) == len(axis.points)):
            raise _swept(axis, key, hidden)


def _hidden(axis: Axis, key: str, value: Any) -> list[str]:
    """The points of an axis that set an overridden key, or a part of it, so that the override is lost."""
    leaves = flat_keys({key: value}) if isinstance(value, Mapping) else {key: value}
    set_keys = {f"{leaf}.name" if leaf in KINDS else leaf for leaf in leaves}
    return [", ".join(point.shown.values()) for point in axis.points if _sets_any(point, set_keys)]


def _sets_any(point: Point, keys: set[str]) -> bool:
    """Whether a point sets one of the keys; a mapping replaces everything below its key."""
    for own, value in point.sets.items():
        if isinstance(value, Mapping):
            if any(f"{key}.".startswith(f"{own}.") for key in keys):
                return True
        elif (f"{own}.name" if own in KINDS else own) in keys:
            return True
    return False


def _swept(axis: Axis, key: str, hidden: Sequence[str]) -> InputError:
    if not axis.named:
        return InputError(f"{key} is swept, and set by an override too; give its values under grid or zip")
    return InputError(
        f"{key} is set by an override, and again by {', '.join(hidden)} of the axis {axis.columns[0]}, where "
        "the override would be lost; change it there"
    )
