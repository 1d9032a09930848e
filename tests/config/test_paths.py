"""Where a relative path begins: in a file at the file's folder, on the command line where the user stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from toys import TOY

from distreal_sim.config import load_experiment
from distreal_sim.search.settings import load_search
from distreal_sim.sweep.cells import load_cells


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`configs` with an experiment that reads `../data`; the user stands in `here`."""
    for name in ("configs", "here"):
        (tmp_path / name).mkdir()
    dataset = {"name": "mnist", "data_dir": "../data"}
    (tmp_path / "configs" / "my.yaml").write_text(yaml.safe_dump({**TOY, "dataset": dataset}))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def data_dir(experiment: Any) -> Path:
    return Path(experiment.dataset.data_dir)


def test_on_the_command_line_of_run(folders: Path) -> None:
    config = Path("../configs/my.yaml")
    assert data_dir(load_experiment(config)[0]) == folders / "data"
    assert data_dir(load_experiment(config, ["dataset.data_dir=mine"])[0]) == folders / "here" / "mine"
    both = load_experiment(config, ["dataset={name: mnist, data_dir: ./a}", "method.front=f.json"])[0]
    assert data_dir(both) == folders / "here" / "a"
    assert getattr(both.method, "front") == folders / "here" / "f.json"  # noqa: B009
    assert data_dir(load_experiment(config, ["dataset.data_dir=/data"])[0]) == Path("/data")


def test_on_the_command_line_of_sweep_and_in_its_file(folders: Path) -> None:
    """Paths among the values of a sweep file are relative to the base config."""
    sweep = {"base": "my.yaml", "overrides": {"dataset.data_dir": "x"}, "seeds": [1]}
    path = folders / "configs" / "sweep.yaml"
    path.write_text(yaml.safe_dump({**sweep, "grid": {"method.front": ["f.json", "auto"]}}))
    settings, cells, _ = load_cells(path)
    assert [data_dir(cell.experiment) for cell in cells] == [folders / "configs" / "x"] * 2
    assert getattr(cells[0].experiment.method, "front") == folders / "configs" / "f.json"  # noqa: B009
    settings, cells, _ = load_cells(path, ["dataset.data_dir=x"])
    assert [data_dir(cell.experiment) for cell in cells] == [folders / "here" / "x"] * 2
    assert yaml.safe_load(yaml.safe_dump(settings.model_dump(mode="json")))["overrides"] == {
        "dataset.data_dir": "x"
    }
    (folders / "here" / "other.yaml").write_text((folders / "configs" / "my.yaml").read_text())
    settings, cells, _ = load_cells(path, ["base=other.yaml"])
    assert settings.base == folders / "here" / "other.yaml"


def test_on_the_command_line_of_search(folders: Path) -> None:
    path = folders / "configs" / "search.yaml"
    path.write_text("experiment: my.yaml")
    assert data_dir(load_search(path)[1]) == folders / "data"
    changed = load_search(path, ["experiment.dataset.data_dir=x"])[1]
    assert data_dir(changed) == folders / "here" / "x"
    (folders / "here" / "other.yaml").write_text((folders / "configs" / "my.yaml").read_text())
    assert load_search(path, ["experiment=other.yaml"])[0].experiment == folders / "here" / "other.yaml"
