"""Search configs: what is filled in, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.search.settings import Search, load_search

from .toy_search import tiny_search, write_search

CONFIGS = Path(__file__).parent.parent.parent / "configs" / "search"


def test_filled_in_from_the_experiment(tmp_path: Path) -> None:
    """lr 0.1 is the toy experiment's; batch_size is given."""
    search, experiment = tiny_search(tmp_path)
    assert (search.lr, search.batch_size) == (0.1, 16)
    path = write_search(tmp_path)
    search, experiment, notes = load_search(path, ["experiment.model.width=9", "seed=5", "lr=0.5"])
    assert (search.seed, search.lr) == (5, 0.5)
    assert experiment.resolved()["model"]["width"] == 9
    assert notes == []


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_bundled_configs_load(path: Path) -> None:
    load_search(path)


def test_every_key_is_described() -> None:
    assert all(field.description for field in Search.model_fields.values())


def test_a_front_for_ordered_filters(tmp_path: Path) -> None:
    _, experiment, _ = load_search(write_search(tmp_path), ["experiment.method.filters=ordered"])
    assert experiment.method.filters == "ordered"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("popullation=8", "unknown key 'popullation' = 8; did you mean 'population'?"),
        ("population=3", "population = 3 must be at least 4 (vectors in a generation)"),
        ("d_max=1", "d_max = 1 must be less than 1 (largest drop rate)"),
        ("evaluations=5", "evaluations (5) must be at least population (6)"),
        ("snapshots=[5, 5]", "snapshots ([5, 5]) must grow from one to the next"),
        ("snapshots=[]", "snapshots = [] must be a list of at least 1"),
        ("shares=[0.5]", "shares ([0.5]) must grow from one to the next, the last being 1"),
        ("shares=[0.5, 0.25, 1]", "shares ([0.5, 0.25, 1.0]) must grow from one to the next"),
        ("shares=[0, 1]", "shares.0 = 0 must be greater than 0"),
        ("steps=many", "steps = 'many' must be a whole number (mini-batches of a short training"),
        ("experiment=other.yaml", "other.yaml: no such file"),
        ("dataset.data_dir=data", "dataset is a key of the experiment; use experiment.dataset.data_dir=data"),
        ("rounds=5", "rounds is a key of the experiment; use experiment.rounds=5"),
        ("experiment.rouns=5", "unknown key 'rouns' = 5; did you mean 'rounds'?"),
        ("experiment.method.name=fedavg", "method.name = fedavg looks up no front"),
    ],
)
def test_refused(tmp_path: Path, override: str, expected: str) -> None:
    path = write_search(tmp_path)
    with pytest.raises(InputError, match=re.escape(expected)):
        load_search(path, [override])


def test_a_missing_key(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text("seed: 1\n")
    with pytest.raises(InputError, match=r"search\.yaml: key 'experiment' is missing"):
        load_search(path)
