"""The runs in a directory, finished or still running: found, read, labelled, their seeds grouped.

Reads the files of a run only (`config.yaml`, `rounds.csv`, `clients.parquet`), so it also works on runs
copied from another machine, and on runs that are still being written. The runs of one sweep are labelled as
in the sweep.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.results.labels import labels_of, natural
from distreal_sim.results.sweep_table import Place, read_places

ROUND_COLUMNS = (
    "round", "sim_s", "test_loss", "train_loss", "n_selected", "n_completed", "n_partial",
    "n_dropped", "macs", "macs_available", "download_bytes", "upload_bytes",
)  # fmt: skip

TEST, SUBMODEL = "test_", "submodel_"
"""Prefixes of the columns of a score: of the whole network, and of the largest sub-network trained so far,
which may be missing or empty."""


Metric = Literal["trained", "full"]
"""Whose score counts: that of the largest sub-network trained so far, or of the whole network.

Methods that train first channels or first stages leave the rest of the network at its initial values where
no client is strong enough for it. For all others, and where the whole is trained, both are the same.
"""


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory, read.

    `rounds`: the rows of `rounds.csv`; `label`: the method's name and whatever else tells this run's
    experiment from the others it was found with, the same for all its seeds; `place`: its place in the
    sweep that all the runs it was found with belong to; `y`: the score that tables and figures show, by
    default the first one measured; `metric`: whose score; `lower`: whether lower values of it are better;
    `n_last`: evaluations whose mean is the final score.
    """

    path: Path
    config: Mapping[str, Any]
    rounds: pd.DataFrame
    label: str
    seed: int
    place: Place | None = None
    metric: Metric = "trained"
    n_last: int = 1
    y: str = "accuracy"
    lower: bool = False

    @property
    def variant(self) -> str:
        """The label without the setting: compared with others under the same setting."""
        return self.label if self.place is None else self.place.variant

    @property
    def setting(self) -> Mapping[str, str]:
        """The swept keys and values that are no part of the variant; empty outside a sweep."""
        return {} if self.place is None else self.place.setting

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.config["method"]["name"])

    @property
    def evaluated(self) -> pd.DataFrame:
        """The rows of `rounds` that were tested, and the score as a further column of its name."""
        rows = self.rounds[self.rounds[TEST + self.y].notna()]
        score, part = rows[TEST + self.y], SUBMODEL + self.y
        if self.metric == "trained" and part in rows:
            score = rows[part].fillna(score)
        return rows.assign(**{self.y: score})

    @property
    def scores(self) -> list[str]:
        """Every score that was measured."""
        return scores_in(self.rounds)

    def final(self, column: str | None = None) -> float:
        """Mean of a column of `evaluated`, by default the score, over the last `n_last` evaluations, or all;
        NaN without one.
        """
        return float(self.evaluated[column or self.y].iloc[-self.n_last :].mean())

    def best(self) -> float:
        """The best score of all evaluations; NaN without one."""
        values = self.evaluated[self.y]
        return float(values.min() if self.lower else values.max())

    def showing(self, y: str) -> Run:
        """The run with another score. Raises InputError for one that was not measured."""
        if y not in self.scores:
            raise InputError(f"{self.path}: {unknown('score', y, self.scores)}")
        return replace(self, y=y, lower=_lower(self.path, y))

    @property
    def macs_share(self) -> float:
        """Share of the offered MACs (capacity in time) that was used, over all rounds; NaN if endless."""
        offered = float(self.rounds["macs_available"].sum())
        return float(used_macs(self.rounds).sum()) / offered if 0 < offered < math.inf else math.nan

    @property
    def completed_share(self) -> float:
        """Share of the selected clients that completed their work, over all rounds; NaN without clients."""
        selected = float(self.rounds["n_selected"].sum())
        return float(self.rounds["n_completed"].sum()) / selected if selected else math.nan

    @property
    def merged_share(self) -> float:
        """Share of the offered MACs that clients spent whose update was merged; NaN if endless or unknown.

        A step that a client could not finish in time counts with the others.
        """
        try:
            rows = self.clients
        except InputError:
            return math.nan
        merged = rows["status"].isin(("completed", "partial"))
        offered = float(rows["macs_available"].sum())
        return float(used_macs(rows)[merged].sum()) / offered if 0 < offered < math.inf else math.nan

    @cached_property
    def stopped_early(self) -> str | None:
        """Why the run ended before its last planned round, if the config's `stop` ended it."""
        return _info(self.path).get("stopped_early")

    @cached_property
    def clients(self) -> pd.DataFrame:
        """The rows of `clients.parquet`, one per round and client, or those a running run committed so far.

        Raises InputError when there are none or a file cannot be read.
        """
        whole = self.path / "clients.parquet"
        parts = [whole] if whole.exists() else sorted((self.path / "clients.parts").glob("*.parquet"))
        if not parts:
            raise InputError(f"{whole} does not exist, nor a part of it; each checkpoint writes one")
        try:
            return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: cannot read the rows of its clients: {error}") from None


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
    sources = _info(path).get("sources", {})
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
        print(f"warning: {strange} runs in {parent} are not in its sweep.csv; left out", file=sys.stderr)
    if len(finished) < len(cells):
        n = len(cells) - len(finished)
        print(f"warning: {n} of {len(cells)} runs in {parent} are not finished; left out", file=sys.stderr)
    if not (shown := {path: place for path, place in finished.items() if path in given}):
        raise InputError(f"no run of the sweep in {parent} is finished yet")
    return shown


def _is_finished(path: Path) -> bool:
    return bool(_info(path).get("status") == "finished")


def _info(path: Path) -> Mapping[str, Any]:
    """The run.json of a run; empty where it cannot be read."""
    try:
        return dict(json.loads((path / "run.json").read_text()))
    except (OSError, ValueError):
        return {}


def read_run(path: Path) -> Run | None:
    """The run in a directory, labelled with its method; None, with a warning, without a finished round.

    Raises InputError for a file that cannot be read.
    """
    rounds_path = path / "rounds.csv"
    text = rounds_path.read_text(encoding="utf-8") if rounds_path.exists() else ""
    whole_lines = text[: text.rfind("\n") + 1]  # a running run may be half-way through a line
    if whole_lines.count("\n") < 2:
        print(f"warning: {path} has no finished round yet; left out", file=sys.stderr)
        return None
    try:
        rounds = pd.read_csv(io.StringIO(whole_lines))
        known = scores_in(rounds)
        missing = [column for column in ROUND_COLUMNS if column not in rounds.columns]
        if missing:
            raise InputError(f"{rounds_path} lacks the column(s) {', '.join(missing)}")
        scores = [c for c in rounds.columns if c.removeprefix(TEST).removeprefix(SUBMODEL) in known]
        numbers = [*ROUND_COLUMNS, *scores]
        rounds = rounds.astype(dict.fromkeys(numbers, "float64") | {"round": "int64"})
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{rounds_path} is not a table of rounds: {error}") from None
    config_path = path / "config.yaml"
    try:
        config = yaml.safe_load(config_path.read_text(encoding="utf-8"))
        run = Run(path, config, rounds, str(config["method"]["name"]), int(config["seed"]))
        return run.showing(known[0])
    except FileNotFoundError:
        raise InputError(f"{path} has a rounds.csv and no config.yaml") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{config_path} is not the config of a run (method.name, seed): {error!r}") from None


def scores_in(rounds: pd.DataFrame) -> list[str]:
    """The scores that a rounds.csv has columns of, in their order."""
    return [str(column).removeprefix(TEST) for column in rounds.columns if str(column).startswith(TEST)]


def _lower(path: Path, score: str) -> bool:
    """Whether lower values of a score are better; `run.json` says so of every score but the loss."""
    better = _info(path).get("scores", {})
    return bool(better.get(score, "lower" if score == "loss" else "higher") == "lower")


def _without_repeats(runs: Iterable[Run]) -> Iterator[Run]:
    """The first run of each label and seed: a copy counted as another seed would shrink the interval."""
    first: dict[tuple[str, int], Run] = {}
    for run in runs:
        kept = first.setdefault((run.label, run.seed), run)
        if kept is run:
            yield run
        else:
            print(f"warning: {run.path} repeats {kept.path} (seed {run.seed}); left out", file=sys.stderr)


def needs_column(runs: Iterable[Run], column: str) -> None:
    """Raises InputError for a run without this column in its rounds.csv."""
    for run in runs:
        if column not in run.rounds:
            raise InputError(
                f"{run.path / 'rounds.csv'} has no column {column}; a run has it if its config sets "
                f"{column.removesuffix('_j')}"
            )


def used_macs(rows: pd.DataFrame) -> pd.Series:
    """MACs of the capacity that were used: `charged_macs` where time is measured, or else `macs`."""
    return rows["charged_macs"] if "charged_macs" in rows else rows["macs"]
