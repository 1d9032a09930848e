"""The files of a search."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distreal_sim.base.errors import InputError
from distreal_sim.base.files import lock_directory, write_atomically
from distreal_sim.base.sources import changed
from distreal_sim.config import Experiment, dump_yaml, flat_keys, read_yaml
from distreal_sim.search.explore import Generation
from distreal_sim.search.settings import STOPS, Search

MAY_DIFFER = {
    "search.experiment",
    "experiment.name",
    "experiment.dataset.data_dir",
    "experiment.method.front",
    *(f"search.{key}" for key in STOPS),
}
"""Keys in which the command that resumes a search may differ from the one that began it."""

UNCOMMITTED = (".lock", "config.yaml.tmp")
"""Files that a search may have left in a directory before it began."""


class SearchDirectory:
    """The open directory of one search.

    `evaluations.jsonl`, `reevaluation.jsonl`: the candidates scored, by archive.Archive; `front.json`: the
    result; `config.yaml`, `generations.csv`, `status.json`.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path, self._config = path, config
        self.evaluations = path / "evaluations.jsonl"
        self.reevaluation = path / "reevaluation.jsonl"
        self.front = path / "front.json"

    def begin(self) -> None:
        """Writes the config: from now on the directory holds a search."""
        content = dump_yaml(dict(self._config), sort_keys=False)
        write_atomically(self.path / "config.yaml", content.encode())

    def status(self) -> dict[str, Any]:
        """`wall_s` spent so far; `stopped` once the search is finished."""
        path = self.path / "status.json"
        return dict(json.loads(path.read_text())) if path.exists() else {"wall_s": 0.0}

    def write_status(self, **values: Any) -> None:
        """Replaces the status."""
        write_atomically(self.path / "status.json", json.dumps(values).encode())

    def write_generations(self, rows: Sequence[Generation]) -> None:
        """Replaces `generations.csv`."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([field.name for field in dataclasses.fields(Generation)])
        table.writerows([dataclasses.astuple(row) for row in rows])
        write_atomically(self.path / "generations.csv", text.getvalue().encode())


@contextlib.contextmanager
def open_directory(
    path: Path, search: Search, experiment: Experiment, *, resume: bool
) -> Iterator[SearchDirectory]:
    """The directory of a new search, or of the one to resume; locked within the block.

    A new search leaves nothing in it but the lock before `begin` is called.
    Raises InputError where it is in use, holds something else, or a search with other settings.
    """
    config = path / "config.yaml"
    plain = {"search": search.model_dump(mode="json"), "experiment": experiment.resolved()}
    if experiment.sources:
        plain["sources"] = dict(experiment.sources)
    if config.exists() and not resume:
        raise InputError(f"{path} already holds a search; add --resume to resume it, or choose another --out")
    with lock_directory(path, "search", begun=config.exists(), leftovers=UNCOMMITTED):
        if config.exists():
            _check_same(path, plain)
        yield SearchDirectory(path, plain)


def _check_same(path: Path, plain: Mapping[str, Any]) -> None:
    before = read_yaml(path / "config.yaml")
    file = changed(before.pop("sources", {}), plain.get("sources", {}))
    old, new = flat_keys(before), flat_keys({key: plain[key] for key in ("search", "experiment")})
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key) and not any(f"{key}.".startswith(f"{k}.") for k in MAY_DIFFER):
            raise InputError(
                f"{path} holds another search: {key} is {old.get(key)!r} there and {new.get(key)!r} now; use "
                "the same config, or choose another --out"
            )
    if file is not None:
        raise InputError(
            f"{path} holds a search of other source code: {file} has changed since the search began; "
            "go back to that code, or choose another --out"
        )
