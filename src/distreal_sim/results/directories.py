"""The runs below directories: found, labelled, their seeds grouped.

The runs of one sweep are labelled as in the sweep.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from distreal_sim.base.errors import InputError
from distreal_sim.base.text import counted
from distreal_sim.results.labels import labels_of, natural
from distreal_sim.results.runs import Metric, Run, read_run, run_info
from distreal_sim.results.sweep_table import Place, read_places


def find_runs(
    dirs: Iterable[Path], metric: Metric = "trained", n_last: int = 1, y: str | None = None
) -> list[Run]:
    """Every run that is one of `dirs` or lies below one, at any depth, sorted by label, seed and path.

    A run without a finished round, and a second run of the same experiment and seed, are left out with
    a warning on stderr. Raises InputError for a directory that does not exist or holds no run, for a
    file that cannot be read, and when no run has a finished round. Of a sweep only finished runs are taken,
    in its order; together with anything else, its runs are like any others. y: the score that counts, by
    default the first one that the first run measured; InputError where a run did not measure it.
    """
    paths: dict[Path, Path] = {}
    tops = [Path(given) for given in dirs]
    for given in tops:
        if not given.is_dir():
            raise InputError(f"{given} is not a directory" if given.exists() else f"{given} does not exist")
        below = {path.resolve(): path for path in _run_dirs(given)}
        if not below:
            raise InputError(f"{given} holds no run: no rounds.csv or run.json in it or in a directory below")
        paths |= below
    places = _places(paths)
    if places:
        paths = {path: shown for path, shown in paths.items() if path in places}
    found = [run for path in sorted(paths.values()) if (run := read_run(path)) is not None]
    shown_y = y or (found[0].y if found else None)
    runs = [replace(run.showing(shown_y or run.y), metric=metric, n_last=n_last) for run in found]
    if paths and not runs:
        raise InputError(f"no run in {', '.join(map(str, tops))} has finished a round yet")
    if places:
        order = list(places)
        placed = [replace(run, place=places[run.path.resolve()]) for run in runs]
        placed.sort(key=lambda run: order.index(run.path.resolve()))
        return [replace(run, label=run.place.label) for run in placed if run.place is not None]
    labels = _with_code(runs, labels_of([run.config for run in runs]))
    labelled = [replace(run, label=label) for run, label in zip(runs, labels, strict=True)]
    labelled.sort(key=lambda run: (natural(run.label), run.seed, -len(run.rounds), str(run.path)))
    return list(_without_repeats(labelled))


def _with_code(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """The labels; where runs of one label had different source code of the user's, with a digest of it."""
    codes = [_code(run.path) for run in runs]
    distinct = set(zip(labels, codes, strict=True))
    several = {label for label in labels if sum(own == label for own, _ in distinct) > 1}
    return [f"{own}, code={code}" if own in several else own for own, code in zip(labels, codes, strict=True)]


def _code(path: Path) -> str:
    """4 hex digits of the user's source code that a run had."""
    sources = run_info(path).get("sources", {})
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()[:4] if sources else "none"


def group(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs by label: each list holds the seeds of one experiment."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    return groups


def _run_dirs(top: Path) -> Iterator[Path]:
    for path, subdirs, files in os.walk(top):
        subdirs.sort()
        if "rounds.csv" in files or "run.json" in files:
            subdirs.clear()
            yield Path(path)


def _places(paths: Iterable[Path]) -> dict[Path, Place]:
    """Finished runs, resolved, and their places, if all the runs are from one sweep; otherwise empty.

    Raises InputError if none of the sweep's runs is finished.
    """
    given = set(paths)
    parents = {path.parent for path in given}
    known = {parent: found for parent in parents if (found := read_places(parent)) is not None}
    if not known:
        return {}
    if len(parents) > 1:
        print("note: these are not the runs of one sweep: labelled by their configs", file=sys.stderr)
        return {}
    parent, found = next(iter(known.items()))
    cells = {parent / name: place for name, place in found.items()}
    finished = {path: place for path, place in cells.items() if _is_finished(path)}
    if strange := len(given - cells.keys()):
        print(
            f"warning: left out {counted(strange, 'run')} in {parent} that its sweep.csv does not list",
            file=sys.stderr,
        )
    if len(finished) < len(cells):
        n = len(cells) - len(finished)
        print(f"warning: left out {n} of {len(cells)} runs in {parent}: not finished", file=sys.stderr)
    if not (shown := {path: place for path, place in finished.items() if path in given}):
        raise InputError(f"no run of the sweep in {parent} is finished yet")
    return shown


def _is_finished(path: Path) -> bool:
    return bool(run_info(path).get("status") == "finished")


def _without_repeats(runs: Iterable[Run]) -> Iterator[Run]:
    """The first run of each label and seed: a copy counted as another seed would shrink the interval."""
    first: dict[tuple[str, int], Run] = {}
    for run in runs:
        kept = first.setdefault((run.label, run.seed), run)
        if kept is run:
            yield run
        else:
            print(f"warning: {run.path} repeats {kept.path} (seed {run.seed}); left out", file=sys.stderr)
