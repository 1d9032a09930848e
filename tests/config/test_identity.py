"""What a config is the same as: hash, round trip, paths; and the JSON schema."""

from __future__ import annotations

import json
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml

from distreal_sim.base.plugins import load, names
from distreal_sim.config import KINDS, Experiment, json_schema, parse_experiment
from distreal_sim.data.datasets.mnist import Mnist
from distreal_sim.methods.distreal import Distreal

CONFIG: dict[str, Any] = {
    "name": "a",
    "rounds": 3,
    "deadline_s": 1.0,
    "n_clients": 4,
    "clients_per_round": 2,
    "dataset": {"name": "mnist", "data_dir": "data"},
    "partition": {"name": "dirichlet", "alpha": 0.5},
    "model": {"name": "small_cnn", "width": 4},
    "local": {"epochs": 1, "lr_schedule": {"name": "step", "milestones": [2, 3]}},
    "profile": {"name": "tiers", "levels": [0, 1, float("inf")]},
    "method": {"name": "distreal", "front": {"uniform": 4}},
}

CHANGES: list[dict[str, Any]] = [
    {"seed": 2},
    {"rounds": 4},
    {"deadline_s": 2.0},
    {"round_end": "early"},
    {"n_clients": 5},
    {"clients_per_round": 3},
    {"dataset": {"name": "mnist", "data_dir": "data", "folder": "FashionMNIST"}},
    {"partition": {"name": "dirichlet", "alpha": 0.6}},
    {"partition": "iid"},
    {"model": {"name": "small_cnn", "width": 5}},
    {"local": {"epochs": 2, "lr_schedule": {"name": "step", "milestones": [2, 3]}}},
    {"local": {"epochs": 1, "lr_schedule": {"name": "step", "milestones": [2, 4]}}},
    {"profile": {"name": "tiers", "levels": [0, 1, 5]}},
    {"profile": {"name": "tiers", "levels": [0, 1, float("inf")], "unit": "macs_per_s"}},
    {"link": {"name": "constant", "download_bytes_per_s": 1, "upload_bytes_per_s": 1}},
    {"availability": {"name": "random", "share": 0.5}},
    {"method": {"name": "distreal", "front": {"uniform": 5}}},
    {"method": {"name": "fedavg"}},
    {"evaluation": {"every": 2}},
    {"evaluation": {"batch_norm": "batch"}},
    {"device": "auto"},
]


def parse(base_dir: Path = Path("/here"), **changes: Any) -> Experiment:
    return parse_experiment({**CONFIG, **changes}, source="my.yaml", base_dir=base_dir)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_hash_changes_with_what_is_computed(change: dict[str, Any]) -> None:
    assert parse(**change).hash() != parse().hash()


def test_each_change_has_a_hash_of_its_own() -> None:
    assert len({parse(**change).hash() for change in CHANGES}) == len(CHANGES)


def test_the_hash_leaves_out_what_changes_no_result() -> None:
    assert parse(name="b").hash() == parse().hash()
    assert parse(Path("/there")).hash() == parse().hash()
    assert parse(dataset={"name": "mnist", "data_dir": "/elsewhere"}).hash() == parse().hash()
    assert parse(checkpoint_every=3).hash() == parse().hash()


def test_the_hash_does_not_see_how_it_was_written() -> None:
    """Order of keys, written-out defaults, 1 for 1.0, and the short form of a plug-in."""
    reordered = parse_experiment(dict(reversed(CONFIG.items())), source="my.yaml", base_dir=Path("/here"))
    assert reordered.hash() == parse().hash()
    assert parse(seed=1, link="unlimited", availability={"name": "always"}).hash() == parse().hash()
    assert parse(deadline_s=1).hash() == parse().hash()
    assert parse().hash() == parse_experiment(parse().resolved(), source="again").hash()


@pytest.mark.parametrize("change", [{}, *CHANGES], ids=str)
def test_resolved_goes_through_yaml(change: dict[str, Any]) -> None:
    """config.yaml says everything: read back, from whichever folder, it is the equal experiment."""
    experiment = parse(**change)
    text = yaml.safe_dump(experiment.resolved(), sort_keys=False)
    again = parse_experiment(yaml.safe_load(text), source="config.yaml", base_dir=Path("/elsewhere"))
    assert again == experiment
    assert again.hash() == experiment.hash()


def test_resolved_has_every_key() -> None:
    """Except those of mnist that change nothing at their defaults."""
    plain = parse().resolved()
    assert set(plain) == set(Experiment.model_fields)
    for key, kind in KINDS.items():
        unwritten = {"prefix", "first_label", "transpose"} if key == "dataset" else set()
        found = reduce(getitem, key.split("."), plain)
        for own in found if isinstance(found, list) else [found]:
            assert set(own) | unwritten == {"name", *load(kind, own["name"]).model_fields}
            assert not set(own) & unwritten
    assert plain["profile"]["levels"] == [0.0, 1.0, float("inf")]


def test_relative_paths_belong_to_the_config_file(tmp_path: Path) -> None:
    def folder(data_dir: str) -> Path:
        dataset = parse(tmp_path / "configs", dataset={"name": "mnist", "data_dir": data_dir}).dataset
        assert isinstance(dataset, Mnist)
        return dataset.data_dir

    assert folder("data") == tmp_path / "configs" / "data"
    assert folder("../data") == tmp_path / "data"
    assert folder(str(tmp_path)) == tmp_path
    assert folder("~/data") == Path.home() / "data"
    method = parse(tmp_path, method={"name": "distreal", "front": "front.json"}).method
    assert isinstance(method, Distreal)
    assert method.front == tmp_path / "front.json"


def references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        inner = {r for v in schema.values() for r in references(v)}
        return inner | ({schema["$ref"]} if isinstance(schema.get("$ref"), str) else set())
    return {r for v in schema for r in references(v)} if isinstance(schema, list) else set()


def at(schema: dict[str, Any], key: str) -> dict[str, Any]:
    """The schema of what a plug-in key holds, of the parts of a list where it holds one."""
    below = schema
    for part in key.split("."):
        below = schema["$defs"].get(below.get("$ref", "").rpartition("/")[2], below)["properties"][part]
    items: dict[str, Any] = below.get("items", below)
    return items


def test_the_schema_covers_every_key_and_plugin() -> None:
    """All top-level keys; for each plug-in key one choice per bundled plug-in with exactly its options; every
    reference resolves; and it is JSON.
    """
    schema = json.loads(json.dumps(json_schema()))
    assert set(schema["properties"]) == set(Experiment.model_fields)
    assert schema["additionalProperties"] is False
    assert {"rounds", "dataset", "local", "method"} <= set(schema["required"])
    for key, kind in KINDS.items():
        choices = {
            c["properties"]["name"]["const"]: c
            for c in at(schema, key)["anyOf"]
            if "const" in c.get("properties", {}).get("name", {})
        }
        assert sorted(choices) == names(kind)
        for name, choice in choices.items():
            fields = load(kind, name).model_fields
            assert set(choice["properties"]) == {"name", *fields}
            assert set(choice["required"]) == {"name", *(f for f, i in fields.items() if i.is_required())}
            takes_all = load(kind, name).model_config["extra"] == "allow"  # a strategy of the user's own
            assert choice["additionalProperties"] is takes_all
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_the_schema_knows_short_forms() -> None:
    """`profile: constant` is right, `profile: tiers` is not: it needs levels. A dotted path is a name too."""
    options = json_schema()["properties"]["profile"]["anyOf"]
    short = next(o["enum"] for o in options if "enum" in o)
    assert {"constant", "uniform"} <= set(short)
    assert "tiers" not in short
    assert any(o.get("pattern") for o in options)


def test_a_front_counts_by_its_content_in_the_hash(tmp_path: Path) -> None:
    """The same bytes in another folder give the same hash, other bytes under the same path another."""
    hashes = []
    for folder, content in (("a", "{}"), ("b", "{}"), ("b", "{ }")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "front.json").write_text(content)
        method = {"name": "distreal", "front": "front.json"}
        hashes.append(parse(tmp_path / folder, method=method).hash())
    assert hashes[0] == hashes[1] != hashes[2]
