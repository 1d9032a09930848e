"""What a value in YAML stands for, and that no boolean becomes a number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from toys import TOY

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.client.settings import Evaluation, Local
from distreal_sim.config import KINDS, Experiment, dump_yaml, load_experiment, parse_experiment, parse_yaml
from distreal_sim.devices.profiles.constant import Constant
from distreal_sim.search.settings import Search
from distreal_sim.sweep.settings import Sweep

WORDS = ["yes", "no", "on", "off", "y", "1:30", "1:30.5", "0b11", "2024-01-01", "1e", "e5", "=", "."]
"""Booleans, base-60 numbers and dates of YAML 1.1, or no numbers at all."""

NUMBERS = {
    "0": 0, "10": 10, "-3": -3, "+7": 7, "1_000": 1000, "0o10": 8, "0x1F": 31, "1e3": 1000.0, "1e-3": 0.001,
    "1.5": 1.5, ".5": 0.5, "5.": 5.0, "-.inf": float("-inf"), "true": True, "False": False, "~": None,
    "": None,
}  # fmt: skip


def refused(changes: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        parse_experiment({**TOY, **changes}, source="my.yaml")
    return str(caught.value)


@pytest.mark.parametrize("word", WORDS)
def test_words(word: str) -> None:
    assert parse_yaml(word) == word


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers(text: str, value: Any) -> None:
    assert (parse_yaml(text), type(parse_yaml(text))) == (value, type(value))


@pytest.mark.parametrize(("text", "number"), [("010", 10), ("-007", -7), ("089", 89), ("00", 0)])
def test_a_number_that_begins_with_0_is_refused(text: str, number: int, tmp_path: Path) -> None:
    """8 in YAML 1.1 and 10 in YAML 1.2; in a file its line is named, on the command line the override."""
    config = tmp_path / "my.yaml"
    config.write_text(yaml.safe_dump(TOY) + f"job_timeout_wall_s: {text}\n")
    line = config.read_text().count("\n")
    with pytest.raises(InputError, match=rf"line {line}, .*{text}: .* octal .*; write {number} ") as caught:
        load_experiment(config)
    assert "\n" not in str(caught.value)
    config.write_text(yaml.safe_dump(TOY))
    with pytest.raises(InputError, match=rf"^override 'seed={text}': .*; write {number} "):
        load_experiment(config, [f"seed={text}"])


@pytest.mark.parametrize("value", [*WORDS, *NUMBERS, "010", 1e-5, 1e16, 3, True, None, {"a": [1e-3, "no"]}])
def test_what_is_written_is_read_alike(value: Any) -> None:
    """By this package and by readers of YAML 1.1."""
    assert parse_yaml(dump_yaml(value)) == value == yaml.safe_load(dump_yaml(value))


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("rounds", True, "rounds = true must be a whole number"),
        ("n_clients", True, "n_clients = true must be a whole number"),
        ("deadline_s", True, "deadline_s = true must be a number"),
        ("seed", False, "seed = false must be a whole number"),
        ("job_timeout_wall_s", True, "job_timeout_wall_s = true must be a number"),
        ("local", {"epochs": 1, "lr": True}, "local.lr = true must be a number"),
        (
            "local",
            {"epochs": 1, "lr_schedule": {"name": "step", "milestones": [3, True]}},
            "must be numbers, not",
        ),
        ("evaluation", {"every": True}, "evaluation.every = true must be a whole number"),
        (
            "profile",
            {"name": "markov", "levels": [0.5, True]},
            "must be numbers, not true or false",
        ),
        (
            "method",
            {"name": "distreal", "front": {"uniform": True}},
            "uniform = true must be a whole",
        ),
        (
            "merge",
            {"name": "flower", "strategy": "FedAdam", "eta": True},
            "merge.eta = true must be a number",
        ),
    ],
)
def test_no_boolean_is_a_number(key: str, value: Any, wanted: str) -> None:
    assert refused({key: value}).startswith("my.yaml: ")
    assert wanted in refused({key: value})


@pytest.mark.parametrize("word", ["yes", "no", "on", "1:30"])
def test_a_word_where_a_number_is_wanted(word: str, tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text(yaml.safe_dump(TOY))
    for key in ("rounds", "local.lr", "deadline_s"):
        with pytest.raises(InputError, match=rf"{key} = '{word}' must be a (whole )?number"):
            load_experiment(config, [f"{key}={word}"])


def test_booleans_are_still_booleans(tmp_path: Path) -> None:
    """Only a number is wanted in vain; yes and off are words that a yes-or-no key understands."""
    config = tmp_path / "my.yaml"
    config.write_text(yaml.safe_dump(TOY))
    for text, value in {"true": True, "yes": True, "off": False, "false": False}.items():
        experiment, _ = load_experiment(config, [f"method.drop_linear={text}"])
        assert getattr(experiment.method, "drop_linear") is value  # noqa: B009


MODELS: list[type[BaseModel]] = [Experiment, Local, Evaluation, Search, Sweep]
MODELS += [load(kind, name) for kind in KINDS.values() for name in names(kind)]


def takes_true_for_1(annotation: Any, value: Any) -> bool:
    """Whether pydantic by itself makes a number of true; what pydantic cannot validate takes nothing."""
    try:
        made = TypeAdapter(annotation).validate_python(value)
    except (ValidationError, InputError, PydanticUserError, PydanticSchemaGenerationError):
        return False
    return is_number(made)


def is_number(made: Any) -> bool:
    """Whether a value is a number, or holds one at any depth."""
    if isinstance(made, Mapping | tuple | list):
        return any(map(is_number, made.values() if isinstance(made, Mapping) else made))
    return type(made) in (int, float)


def holds_a_number(annotation: Any) -> bool:
    """Whether int or float is the type or a part of it."""
    return annotation in (int, float) or any(holds_a_number(part) for part in get_args(annotation))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_number_of_every_plugin(model: type[BaseModel]) -> None:
    """Each field for which pydantic would take true for 1 refuses it: all in whose type there is a number."""
    tried = set()
    for name, field in model.model_fields.items():
        for value in (True, [True], [True] * 2, [True] * 4, [[True]], [[True] * 2], {"a": True}):
            if takes_true_for_1(field.annotation, value):
                tried.add(name)
                with pytest.raises(ValidationError) as caught:
                    model.model_validate({name: value})
                found = {error["loc"]: error["type"] for error in caught.value.errors()}
                assert found[name,] == "boolean_for_number"
    assert tried == {name for name, field in model.model_fields.items() if holds_a_number(field.annotation)}


class Mine(Constant):
    """A profile of the user's own, with a number and a table of numbers."""

    half_life: float = 1.0
    weights: dict[str, int] = {}  # noqa: RUF012


def test_plugins_of_the_users_own() -> None:
    here = f"{__name__}.Mine"
    assert "half_life = true must be a number" in refused({"profile": {"name": here, "half_life": True}})
    assert "must be numbers, not true" in refused({"profile": {"name": here, "weights": {"a": True}}})
