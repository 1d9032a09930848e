"""Bundled fronts: for what they are taken, and that a run stays what it was when they change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from toys import WHOLE_TOY, whole_toy
from typer.testing import CliRunner

from distreal_sim.base.errors import InputError
from distreal_sim.cli import app
from distreal_sim.config import Experiment, load_experiment
from distreal_sim.fronts import bundled as fronts
from distreal_sim.fronts.bundled import BundledFront
from distreal_sim.fronts.file import read_front
from distreal_sim.fronts.front import fingerprint, make_front
from distreal_sim.methods.distreal import Distreal
from distreal_sim.run import run
from distreal_sim.thinning.coupling.groups import find_groups

from .compare import assert_same_results


def put(name: str, middle: float = 0.5, wall_s: float = 1.0, **method: Any) -> None:
    """Bundles a front of rates 0.75, `middle` and 0 for the toy experiment with options of `distreal`."""
    plain = whole_toy(method={"name": "distreal", "front": {"uniform": 1}, **method}).resolved()
    module = whole_toy().model.build((1, 8, 8), 10)
    structure = find_groups(module, torch.zeros(2, 1, 8, 8))
    groups = structure.thinnable(plain["method"]["drop_linear"])
    rates = np.repeat([[0.75], [middle], [0.0]], len(groups), axis=1)
    made = {
        "model": "small_cnn",
        "dataset": "digits",
        "how": "by hand",
        "wall_s": wall_s,
        "experiment": plain,
    }
    front = make_front(structure, groups, rates, [0.2, 0.6, 0.8], model=fingerprint(module), made=made)
    front.save(fronts.FOLDER / f"{name}.json")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled fronts, with one for the toy experiment."""
    monkeypatch.setattr(fronts, "FOLDER", tmp_path / "fronts")
    fronts.FOLDER.mkdir()
    put("small_cnn-digits")
    return fronts.FOLDER


def taken(experiment: Experiment) -> Any:
    assert isinstance(experiment.method, Distreal)
    return experiment.method.front


def test_taken_for_just_this() -> None:
    """Not for another width, other data, other filters, another scaling or other layers: then rates are
    uniform, and the config is the one that says so. What does not touch the network changes no front.
    """
    content = read_front(fronts.FOLDER / "small_cnn-digits.json").content
    expected = BundledFront(bundled="small_cnn-digits", content=content)
    assert taken(whole_toy()) == expected
    for change in ({"local": {"steps": 3}}, {"seed": 2}, {"dataset": {"name": "digits", "validation": 0.2}}):
        assert taken(whole_toy(**change)) == expected
    for change in (
        {"model": {"name": "small_cnn", "width": 5}},
        {"method": {"name": "distreal", "filters": "ordered"}},
        {"method": {"name": "distreal", "scaling": "inverted"}},
        {"method": {"name": "distreal", "drop_linear": True}},
        {"dataset": {"name": "mnist", "data_dir": "."}},
    ):
        method = {"name": "distreal", **change.get("method", {})}
        said = whole_toy(**{**change, "method": {**method, "front": {"uniform": 16}}})
        assert whole_toy(**change) == said
        assert whole_toy(**change).hash() == said.hash()


def test_one_for_each_way_of_thinning() -> None:
    put("small_cnn-digits-ordered", filters="ordered")
    put("small_cnn-digitised")  # of another data set whose name begins alike: never looked at
    assert taken(whole_toy()).bundled == "small_cnn-digits"
    assert (
        taken(whole_toy(method={"name": "distreal", "filters": "ordered"})).bundled
        == "small_cnn-digits-ordered"
    )


def test_the_hash_depends_on_the_content() -> None:
    """Other vectors, another hash; the same ones found again, with another wall time, the same hash."""
    before, uniform = (
        whole_toy().hash(),
        whole_toy(method={"name": "distreal", "front": {"uniform": 16}}).hash(),
    )
    put("small_cnn-digits", wall_s=2.0)
    assert whole_toy().hash() == before
    put("small_cnn-digits", middle=0.25)
    assert whole_toy().hash() not in (before, uniform)
    (fronts.FOLDER / "small_cnn-digits.json").unlink()
    assert whole_toy().hash() == uniform


@pytest.mark.parametrize(
    "change", ["other", *(pytest.param(change, marks=pytest.mark.slow) for change in ("none", "removed"))]
)
def test_the_config_of_a_run_gives_the_same_run(change: str, tmp_path: Path) -> None:
    """Whatever is bundled by then: config.yaml names the front and its content, front.json holds it."""
    run(whole_toy(), tmp_path / "run", grid="serial")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["method"]["front"] == taken(whole_toy()).model_dump()
    assert read_front(tmp_path / "run" / "front.json").made["bundled"] == "small_cnn-digits"
    if change == "other":
        put("small_cnn-digits", middle=0.25)
    elif change == "removed":
        (fronts.FOLDER / "small_cnn-digits.json").unlink()
    again = load_experiment(tmp_path / "run" / "config.yaml")[0]
    run(again, tmp_path / "again", grid="serial")
    shutil.copy(tmp_path / "run" / "config.yaml", tmp_path / "again")  # it gives the front by its path now
    assert_same_results(tmp_path / "run", tmp_path / "again")
    run(whole_toy(), tmp_path / "now", grid="serial")
    rounds = [(tmp_path / name / "rounds.csv").read_bytes() for name in ("run", "now")]
    assert (rounds[0] == rounds[1]) == (change == "none")


def test_a_front_that_is_gone(tmp_path: Path) -> None:
    """config.yaml alone, without the run's front.json; and a run cannot be resumed with another front."""
    run(whole_toy(), tmp_path / "run", grid="serial")
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run" / "config.yaml", tmp_path / "alone")
    old = taken(whole_toy()).content
    put("small_cnn-digits", middle=0.25)
    with pytest.raises(InputError, match=rf"front small_cnn-digits of content {old} is not in this version"):
        load_experiment(tmp_path / "alone" / "config.yaml")
    with pytest.raises(
        InputError, match=rf"method\.front\.content is '{old}' there and '[0-9a-f]{{16}}' now"
    ):
        run(whole_toy(), tmp_path / "run", grid="serial", resume=True)


def test_taken_by_name(tmp_path: Path) -> None:
    """Where auto would not: it must still fit the network. A name that is none is told."""
    named = whole_toy(
        method={"name": "distreal", "resample": "round", "front": {"bundled": "small_cnn-digits"}}
    )
    assert taken(named) == taken(whole_toy())
    wide = {"name": "small_cnn", "width": 8}
    with pytest.raises(InputError, match="was made for another model"):
        run(
            whole_toy(model=wide, method={"name": "distreal", "front": {"bundled": "small_cnn-digits"}}),
            tmp_path / "r",
        )
    hint = r"unknown bundled front 'small_cnn'; did you mean 'small_cnn-digits'\?"
    with pytest.raises(InputError, match=hint):
        whole_toy(method={"name": "distreal", "front": {"bundled": "small_cnn"}})


def test_check_and_inspect_say_what_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(WHOLE_TOY))

    def cli(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    assert "bundled front small_cnn-digits, by hand\n" in cli("check", str(path))
    assert "bundled: small_cnn-digits, how: by hand" in cli("inspect", "front", str(path))
    said = cli("check", str(path), "method.front.uniform=4")
    assert "way of thinning small_cnn-digits is bundled (method.front=auto)\n" in said
    assert "way of thinning none is bundled\n" in cli("check", str(path), "model.width=3")
    put("small_cnn-digits-ordered", filters="ordered")
    said = cli("check", str(path), "method={name: distreal, filters: ordered, front: {uniform: 4}}")
    assert "way of thinning small_cnn-digits-ordered is bundled (method.front=auto)\n" in said
