"""The run in a directory, finished or still running.

Reads the files of a run only (`config.yaml`, `rounds.csv`, `clients.parquet`), so it also works on runs
copied from another machine, and on runs that are still being written.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.plain_yaml import load_yaml
from distreal_sim.results.sweep_table import Place

ROUND_COLUMNS = (
    "round", "sim_s", "test_loss", "train_loss", "n_selected", "n_completed", "n_partial",
    "n_dropped", "macs", "macs_available", "download_bytes", "upload_bytes",
)  # fmt: skip

TEST, SUBMODEL = "test_", "submodel_"
"""Prefixes of the columns of a score: of the whole network, and of the largest sub-network trained so far,
which may be missing or empty."""

OF_SCORE = re.compile("^(test|submodel|clients)_|_(worst|slow|middle|fast)$")
"""What the columns of a score add to its name: whose it is, and of the clients' scores of which clients."""

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
    sweep that all the runs it was found with belong to; `y`: the score, or the column of `rounds.csv`, that
    tables and figures show, by default the first score measured; `metric`: whose score; `lower`: whether
    lower values of it are better; `n_last`: evaluations whose mean is the final score.
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
        """The rows of `rounds` that have a value of y, and y as a (further) column of its name."""
        rows = self.rounds[self.rounds[self.column].notna()]
        score, part = rows[self.column], SUBMODEL + self.y
        if self.metric == "trained" and part in rows:
            score = rows[part].fillna(score)
        return rows.assign(**{self.y: score})

    @property
    def column(self) -> str:
        """The column of `rounds` that y is in; of a score that of the whole network."""
        return TEST + self.y if self.y in self.scores else self.y

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
        """The run with another score or column. Raises InputError for one that its rounds.csv lacks."""
        if y not in self.scores and y not in self.rounds:
            raise InputError(f"{self.path}: {unknown('score or column', y, [*self.scores, *self.rounds])}")
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
        return run_info(self.path).get("stopped_early")

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


def run_info(path: Path) -> Mapping[str, Any]:
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
        config = load_yaml(config_path.read_text(encoding="utf-8"))
        run = Run(path, config, rounds, str(config["method"]["name"]), int(config["seed"]))
        return run.showing(known[0])
    except FileNotFoundError:
        raise InputError(f"{path} has a rounds.csv and no config.yaml") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{config_path} is not the config of a run (method.name, seed): {error!r}") from None


def scores_in(rounds: pd.DataFrame) -> list[str]:
    """The scores that a rounds.csv has columns of, in their order."""
    return [str(column).removeprefix(TEST) for column in rounds.columns if str(column).startswith(TEST)]


def _lower(path: Path, y: str) -> bool:
    """Whether lower values of a score or column are better: losses, and what `run.json` says so of."""
    better = run_info(path).get("scores", {})
    return y.endswith("loss") or better.get(OF_SCORE.sub("", y), "higher") == "lower"


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
