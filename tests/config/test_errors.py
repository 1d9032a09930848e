"""Every kind of mistake in a config, as its author meets it: the whole message."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.config import Experiment, load_experiment, parse_experiment, read_yaml
from distreal_sim.devices.profiles import Profile
from distreal_sim.methods.distreal import Distreal

GOOD: dict[str, Any] = {
    "rounds": 3,
    "deadline_s": 1.0,
    "n_clients": 4,
    "clients_per_round": 2,
    "dataset": "digits",
    "partition": "iid",
    "model": "small_cnn",
    "local": {"epochs": 1},
    "profile": "constant",
    "method": "fedavg",
}

TOP = ", ".join(sorted(Experiment.model_fields))
PROFILES = ", ".join(names(Profile))


def message(changes: dict[Any, Any], without: str = "") -> str:
    raw = {key: value for key, value in {**GOOD, **changes}.items() if key != without}
    with pytest.raises(InputError) as caught:
        parse_experiment(raw, source="my.yaml")
    return str(caught.value)


def test_the_good_one_is_good() -> None:
    assert parse_experiment(GOOD, source="my.yaml").rounds == 3


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # misspelt and misplaced keys; those of the top level are listed only where none is near
        ({"rouns": 3}, "unknown key 'rouns' = 3; did you mean 'rounds'?"),
        ({"zzz": 3}, f"unknown key 'zzz' = 3 (valid: {TOP})"),
        ({"lr": 0.5}, "unknown key 'lr' = 0.5; did you mean 'local.lr'?"),
        ({"drop_linear": True}, f"unknown key 'drop_linear' = true (valid: {TOP})"),
        (
            {"method": {"name": "fedavg", "overrun": "drop"}},
            "unknown key 'method.overrun' = 'drop'; did you mean 'overrun'? (method fedavg has: no options)",
        ),
        (
            {"model": {"name": "small_cnn", "seed": 3}},
            "unknown key 'model.seed' = 3; did you mean 'seed'? (model small_cnn has: width)",
        ),
        (
            {"local": {"epochs": 1, "batchsize": 8}},
            "unknown key 'local.batchsize' = 8; did you mean 'local.batch_size'? (local has: "
            "augment, batch_size, clip_norm, epochs, "
            "label_smoothing, lr, lr_schedule, memory_format, nonfinite, optimizer, "
            "precision, steps)",
        ),
        (
            {"local": {"epochs": 1, "momentum": 0.9}},
            "unknown key 'local.momentum' = 0.9; did you mean 'local.optimizer.momentum'? (local has: "
            "augment, batch_size, clip_norm, epochs, label_smoothing, lr, lr_schedule, memory_format, "
            "nonfinite, optimizer, precision, steps)",
        ),
        (
            {"profile": {"name": "constant", "levle": 2}},
            "unknown key 'profile.levle' = 2; did you mean 'profile.level'? (profile constant has: "
            "level, level_1_macs_per_s, unit)",
        ),
        (
            {"profile": {"name": "constant", "nmae": "uniform"}},
            "unknown key 'profile.nmae' = 'uniform'; did you mean 'profile.name'? (profile constant has: "
            "level, level_1_macs_per_s, unit)",
        ),
        (
            {"method": {"name": "distreal", "front": {"unifrom": 4}}},
            "unknown key 'method.front.unifrom' = 4; did you mean 'method.front.uniform'? "
            "(method.front has: uniform)",
        ),
        ({1: 2}, "1 is not a key; keys are text"),
        # wrong types
        ({"rounds": "many"}, "rounds = 'many' must be a whole number (number of rounds)"),
        ({"rounds": 2.5}, "rounds = 2.5 must be a whole number (number of rounds)"),
        (
            {"name": 2026},
            "name = 2026 must be text, in quotes (label for readers; not part of the config hash)",
        ),
        (
            {"local": 3},
            "local = 3 must be keys and values (a client's planned work: epochs or steps, "
            "batch_size, lr, ...)",
        ),
        (
            {"profile": {"name": "markov", "levels": 1}},
            "profile.levels = 1 must be a list, like [1, 2] (capacities that a client jumps between)",
        ),
        (
            {"profile": {"name": "markov", "levels": [0.5, "fast"]}},
            "profile.levels.1 = 'fast' must be a number (capacities that a client jumps between)",
        ),
        (
            {"method": {"name": "distreal", "drop_linear": "perhaps"}},
            "method.drop_linear = 'perhaps' must be auto or true or false "
            f"({Distreal.model_fields['drop_linear'].description})",
        ),
        (
            {"method": {"name": "distreal", "front": 3}},
            "method.front = 3 must be auto or keys and values or a path "
            f"({Distreal.model_fields['front'].description})",
        ),
        (
            {"method": {"name": "distreal", "resample": "never"}},
            "method.resample = 'never' must be batch or round or a whole number "
            f"({Distreal.model_fields['resample'].description})",
        ),
        # out of bounds
        ({"rounds": 0}, "rounds = 0 must be at least 1 (number of rounds)"),
        ({"deadline_s": -3}, "deadline_s = -3 must be greater than 0 (simulated seconds of a round)"),
        (
            {"deadline_s": float("inf")},
            "deadline_s = inf must be a finite number (simulated seconds of a round)",
        ),
        (
            {"local": {"epochs": 1, "lr": float("nan")}},
            "local.lr = nan must be a finite number (learning rate at the start of the schedule)",
        ),
        (
            {"local": {"epochs": 1, "optimizer": {"momentum": 1}}},
            "local.optimizer.momentum = 1 must be less than 1 (share of the last step that the next one "
            "repeats)",
        ),
        (
            {"profile": {"name": "markov", "levels": []}},
            "profile.levels = [] must be a list of at least 1 (capacities that a client jumps between)",
        ),
        (
            {"profile": {"name": "markov", "levels": [1], "changes_per_round": float("inf")}},
            "profile.changes_per_round = inf must be at most 10000 (mean draws per deadline_s; 0: never)",
        ),
        (
            {"profile": {"name": "uniform", "high": float("inf")}},
            "profile.high = inf must be a finite number (largest base level)",
        ),
        # words
        (
            {"device": "cdua"},
            "device = 'cdua' must be auto, cpu or cuda; did you mean 'cuda'? "
            "(where tensors live; auto: a GPU if there is one)",
        ),
        (
            {"overrun": "dorp"},
            "overrun = 'dorp' must be drop, partial or wait; did you mean 'drop'? "
            f"({Experiment.model_fields['overrun'].description})",
        ),
        # impossible combinations
        ({"clients_per_round": 9}, "clients_per_round (9) must not exceed n_clients (4)"),
        ({"local": {}}, "local: give exactly one of epochs and steps"),
        ({"local": {"epochs": 1, "steps": 4}}, "local: give exactly one of epochs and steps"),
        (
            {"profile": {"name": "tiers", "levels": [1, 2], "shares": [0.5, 0.4999999]}},
            "profile: shares sum to 0.9999999; they must sum to 1",
        ),
        (
            {"profile": {"name": "tiers", "levels": [1, 2], "shares": [1]}},
            "profile: shares has 1 entry, levels has 2; give one share per level",
        ),
        ({"profile": {"name": "uniform", "low": 2}}, "profile: low (2) must not exceed high (1)"),
        (
            {"profile": {"name": "uniform", "jitter": 0.2}},
            "profile: jitter (0.2) and changes_per_round (0) go together: give both or neither",
        ),
        # plug-ins
        (
            {"profile": "markof"},
            f"profile.name: unknown profile 'markof'; did you mean 'markov'? (valid: {PROFILES}), "
            "or the dotted path of a class of your own",
        ),
        ({"profile": None}, f"profile needs a `name` (valid: {PROFILES})"),
        ({"profile": {"nmae": "tiers"}}, f"profile needs a `name`; is 'nmae' meant? (valid: {PROFILES})"),
        (
            {"merge": {"wieght": "steps"}},
            "merge needs a `name` with 'wieght'; did you mean 'merge.weight', of average, the default? "
            "(valid: average, flower)",
        ),
        ({"profile": {"name": 3}}, f"profile needs a `name`, not 3 (valid: {PROFILES})"),
        ({"profile": 3}, "profile = 3 must be a name, or keys and values with a `name`"),
        # missing keys
        (
            {"profile": {"name": "tiers"}},
            "key 'profile.levels' is missing (capacity of each tier)",
        ),
        # several mistakes: the first, and how many more
        (
            {"rounds": 0, "seed": -1},
            "seed = -1 must be at least 0 (determines every random draw) (and 1 more mistake)",
        ),
    ],
)
def test_message(changes: dict[str, Any], expected: str) -> None:
    assert message(changes) == f"my.yaml: {expected}"


def test_missing_keys() -> None:
    assert message({}, without="rounds") == "my.yaml: key 'rounds' is missing (number of rounds)"
    assert message({}, without="profile") == (
        f"my.yaml: key 'profile' is missing (the clients' capacity as a function of time: {PROFILES})"
    )


def test_a_misspelt_required_key_is_one_mistake() -> None:
    """That 'profile' is missing follows from the misspelling and is not counted."""
    text = message({"profil": "constant"}, without="profile")
    assert text == "my.yaml: unknown key 'profil' = 'constant'; did you mean 'profile'?"


def test_a_long_value_is_shortened() -> None:
    text = message({"rouns": {f"key{i}": list(range(50)) for i in range(50)}})
    assert len(text.split(";")[0]) < 200


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [1, 2\nb: 3\n", ", line 2, column 2: not YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n\tb: 2\n", ", line 2, column 1: not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb:\n  c: 2\n  c: 3\n", ", line 4, column 3: not YAML: key 'c' is given twice"),
        ("", ": is empty; it must hold keys and values, like `rounds: 10`"),
        ("- 1\n- 2\n", ": must hold keys and values, like `rounds: 10`, but holds a list"),
        ("rounds\n", ": must hold keys and values, like `rounds: 10`, but holds only 'rounds'"),
    ],
)
def test_not_a_config(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}{expected}"


def test_no_such_file_and_not_a_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'no.yaml'}: no such file")):
        load_experiment(tmp_path / "no.yaml")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: cannot be read: it is a directory")):
        load_experiment(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=re.escape(f"{binary}: cannot be read: ")):
        load_experiment(binary)


def test_python_objects_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match="line 1, column 4: not YAML: could not determine a constructor"):
        read_yaml(path)
