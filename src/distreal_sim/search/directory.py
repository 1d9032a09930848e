"""The files of a search."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distreal_sim.base.directory import (
    check_same_keys,
    check_same_sources,
    lock_directory,
    read_status,
    write_status,
)
from distreal_sim.base.errors import InputError
from distreal_sim.base.files import write_atomically
from distreal_sim.config import Experiment, dump_yaml, flat_keys, read_yaml
from distreal_sim.fronts.file import read_front
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
        return {"wall_s": 0.0} | read_status(self.path / "status.json")

    def write_status(self, **values: Any) -> None:
        """Replaces the status."""
        write_status(self.path / "status.json", values)

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
    plain: dict[str, Any] = {"search": search.model_dump(mode="json"), "experiment": experiment.resolved()}
    if isinstance(search.front, Path):
        plain["front"] = read_front(search.front).content
    if experiment.sources:
        plain["sources"] = dict(experiment.sources)
    if config.exists() and not resume:
        raise InputError(
            f"{path} already holds a search; add --resume to go on with it, or choose another --out"
        )
    with lock_directory(path, "search", begun=config.exists(), config=config.name):
        if config.exists():
            before = read_yaml(config)
            sources = before.pop("sources", {})
            here = {key: value for key, value in plain.items() if key != "sources"}
            check_same_keys(path, "search", flat_keys(before), flat_keys(here), MAY_DIFFER)
            check_same_sources(path, "search", sources, experiment.sources)
        yield SearchDirectory(path, plain)
