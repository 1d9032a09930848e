"""Whole cheaper searches: cut short anywhere, they go on as if nothing had happened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from distreal_sim.search.run import run_search

from .toy_search import TABLES, tiny_search


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted search with screening, in this process."""
    folder = tmp_path_factory.mktemp("screened")
    run_search(*tiny_search(folder, screening=4), folder / "out", n_workers=1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("n_lines", [3, 14])
def test_resumed_from_a_torn_file(whole: Path, tmp_path: Path, n_lines: int) -> None:
    """After 3 of 20 vectors, in the first generation, and after 14, where the model has chosen some; the next
    line is half written. Same bytes as the search that ran through.
    """
    cut = tmp_path / "cut"
    shutil.copytree(whole / "out", cut)
    lines = (cut / "evaluations.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 20
    (cut / "evaluations.jsonl").write_bytes(b"".join([*lines[:n_lines], lines[n_lines][:9]]))
    for name in ("front.json", "reevaluation.jsonl", "generations.csv", "status.json"):
        (cut / name).unlink()
    run_search(*tiny_search(whole, screening=4), cut, n_workers=1, resume=True)
    for name in TABLES:
        assert (cut / name).read_bytes() == (whole / "out" / name).read_bytes()
