"""Front files: read and checked, on their own or against the network of a run."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

from distreal_sim.base.errors import InputError
from distreal_sim.fronts.entry import Entry, make_entry
from distreal_sim.fronts.front import FORMAT, Front
from distreal_sim.thinning.structure import Structure


def read_front(path: Path) -> Front:
    """Reads a front, whatever network it was made for.

    Raises InputError if the file is none, or if its figures contradict each other.
    """
    front, data = _parse(path)
    _check(path, data, front)
    return front


def load_front(path: Path, structure: Structure, thinnable: Sequence[int], model: str) -> Front:
    """Reads a front and checks that it was made for this network and these groups, and all its figures.

    Raises InputError naming the file and its fault.
    """
    front, data = _parse(path)
    if front.model != model:
        made_for = f" ({front.made['model']})" if "model" in front.made else ""
        raise InputError(
            f"front {path} was made for another model{made_for}: its fingerprint is {front.model}, "
            f"that of this run's model is {model}; make a front for this model, or take "
            "method.front={uniform: 16}"
        )
    groups = tuple(structure.groups[g].name for g in thinnable)
    if front.groups != groups:
        raise InputError(
            f"front {path} has rates for the layers {', '.join(front.groups)}, but this run thins "
            f"{', '.join(groups)}; set method.drop_linear as it was when the front was made"
        )
    entries = []
    for number, entry in enumerate(front.entries, 1):
        try:
            known = (entry.rates, entry.score, entry.score_error, entry.share, entry.memory_bytes)
            entries.append(make_entry(structure, thinnable, *known))
        except InputError as error:
            raise InputError(f"front {path}, entry {number}: {error}") from None
    front = replace(front, entries=tuple(entries))
    _check(path, data, front)
    return front


def _parse(path: Path) -> tuple[Front, Mapping[str, Any]]:
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}, this version reads {FORMAT}")
        entries = tuple(
            Entry(
                tuple(float(rate) for rate in e["rates"]),
                tuple(operator.index(n) for n in e["kept"]),
                operator.index(e["macs_per_example"]),
                float(e["score"]),
                None if e["score_error"] is None else float(e["score_error"]),
                operator.index(e["forward_macs_per_example"]),
                operator.index(e["parameters"]),
                float(e["share"]),
                operator.index(e["peak_memory_bytes"]) if "peak_memory_bytes" in e else None,
            )
            for e in data["entries"]
        )
        return Front(entries, str(data["model"]), tuple(data["groups"]), dict(data["made"])), data
    except FileNotFoundError:
        raise InputError(f"front {path}: no such file") from None
    except KeyError as error:
        raise InputError(f"front {path} is not a front file: key {error} is missing") from None
    except (OSError, ValueError, TypeError, InputError) as error:
        raise InputError(f"front {path} is not a front file, or damaged: {error}") from None


def _check(path: Path, data: Mapping[str, Any], front: Front) -> None:
    """Raises InputError unless `front` is one, and the file says about its entries what they are."""
    entries = front.entries
    if not entries or any(entries[-1].rates) or entries[-1].share != 1:
        raise InputError(f"front {path}: the last entry must be the zero vector (all rates 0) with share 1")
    if any(len(entry.counts) != len(entries[-1].counts) or min(entry.counts) < 1 for entry in entries):
        raise InputError(f"front {path}: every entry must keep at least one channel of the same groups")
    expected = front.plain()
    for number, (stored, right) in enumerate(zip(data["entries"], expected["entries"], strict=True), 1):
        for key, value in right.items():
            _compare(f"front {path}, entry {number}", stored, key, value)
    _check_order(path, front)
    _compare(f"front {path}", data, "hypervolume", expected["hypervolume"])


def _check_order(path: Path, front: Front) -> None:
    entries = front.entries
    finite = all(math.isfinite(entry.score) for entry in entries)
    costs = [entry.macs_per_planned_example for entry in entries]
    if front.has_memory:
        if any(entry.memory_bytes is None or entry.memory_bytes < 1 for entry in entries):
            raise InputError(f"front {path}: peak_memory_bytes must be > 0 in every entry, or stand in none")
        beaten = any(a.no_worse_than(b) for a, b in permutations(entries[:-1], 2))
        if beaten or not (finite and all(a <= b for a, b in pairwise(costs))):
            raise InputError(
                f"front {path}: share * macs_per_example must not fall from entry to entry, and no entry but "
                "the zero vector may cost as much as another in MACs and memory, or more, for no higher score"
            )
        return
    grows = all(a.score <= b.score for a, b in pairwise(entries[:-1]))
    if not (finite and grows and all(a < b for a, b in pairwise(costs))):
        raise InputError(
            f"front {path}: share * macs_per_example and score must grow from entry to entry (only the score "
            "of the zero vector may be smaller)"
        )


def _compare(where: str, stored: Mapping[str, Any], key: str, value: Any) -> None:
    if key not in stored:
        raise InputError(f"{where}: key '{key}' is missing")
    both = (stored[key], value)
    if all(isinstance(v, int | float) for v in both):
        same = math.isclose(*both, rel_tol=1e-9) or all(map(math.isnan, both))
    else:
        same = both[0] == both[1]
    if not same:
        sized = "; was it made for inputs of another size?" if key == "macs_per_example" else ""
        raise InputError(f"{where}: {key} is {stored[key]}, but its rates and scores make it {value}{sized}")
