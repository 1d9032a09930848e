"""Files of measured costs: what is written is read, and each fault has one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cost_tables import file_of, table_of
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build
from distreal_sim.submodels.levels import Level
from distreal_sim.thinning.measured.file import read_costs


def half(level: Level, full_macs: int) -> Decimal:
    return Decimal("0.5") if level.macs_per_example < full_macs else Decimal(1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_of(tmp_path / "cost.json", toy(), half)


def test_what_is_written_is_read(file: Path) -> None:
    table = table_of(toy(), half)
    assert read_costs(file) == table
    assert read_costs(file).content == table.content


def test_the_content_is_what_is_charged(file: Path) -> None:
    """Who measured it does not count, a share does."""
    data = json.loads(file.read_text())
    data["made"] = {"processor": "another"}
    data["levels"][0]["step_wall_s"] = 7.0
    other = file.with_name("other.json")
    other.write_text(json.dumps(data))
    assert read_costs(other).content == read_costs(file).content
    data["levels"][0]["time_share"] = 0.51
    other.write_text(json.dumps(data))
    assert read_costs(other).content != read_costs(file).content


def test_an_extended_table_keeps_what_it_had() -> None:
    """The levels of two methods; those of both are the first table's."""
    own, other = table_of(toy(), half), table_of(toy(method={"name": "heterofl"}), lambda *_: Decimal("0.3"))
    both = own.joined(other)
    full = next(level for level in own.levels if level.macs_share == 1)
    assert both.by_key[full.key].time_share == 1
    assert both.by_key == {**other.by_key, **own.by_key}
    assert both.joined(other) is both


def first(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["levels"][0].update(changes)

    return change


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["levels"][0].pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (first(time_share=0), r"level 1: time_share \(0\) must be greater than 0"),
        (first(time_share=-0.5), r"level 1: time_share \(-0.5\) must be greater than 0"),
        (first(time_share="0.5"), r"level 1: time_share \('0.5'\) must be a number"),
        (first(time_share=True), r"level 1: time_share \(True\) must be a number"),
        (first(time_share=float("inf")), r"level 1: time_share \(inf\) must be greater than 0"),
        (first(time_share=float("nan")), r"level 1: time_share \(nan\) must be greater than 0"),
        (first(time_share=1e-13), r"level 1: time_share \(1E-13\) has more than 12 decimal places"),
        (first(redrawn=1), r"level 1: redrawn \(1\) must be true or false"),
        (first(kept=[1.5]), r"damaged: .*Decimal"),
        (first(precision="float8"), r"level 1: memory_format channels_last, precision float8"),
        (without("time_share"), r"is not a file of measured costs: key 'time_share' is missing"),
        (lambda data: data.update(format=9), r"damaged: format 9, this version reads 1"),
        (lambda data: data.update(levels=[]), r"is not a file of measured costs: it has no levels"),
        (lambda data: data.update(levels=3), r"damaged: "),
        (lambda data: data["levels"].append(data["levels"][0]), r"two measurements of the same level"),
    ],
)
def test_damaged_files(file: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=f"cost .*cost.json .*{message}") as caught:
        build(toy(cost=str(file)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "rounds: 3"])
def test_other_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "cost.json").write_text(text)
    with pytest.raises(InputError, match="is not a file of measured costs, or damaged"):
        read_costs(tmp_path / "cost.json")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cost .*measurd: no such file; cost is macs, measured, or a file"):
        build(toy(cost=str(tmp_path / "measurd")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"name": "small_cnn", "width": 8}},
            r"measured for other networks: their fingerprints are \w{16}, that of this run's model ",
        ),
        (
            {"local": {"epochs": 1, "batch_size": 32, "lr": 0.1}},
            r"measured for batches of 16, sgd momentum_buffer, channels_last, float32, but this run has "
            r"batches of 32, sgd, channels_last, float32; ",
        ),
        (
            {"method": {"name": "heterofl"}},
            r"not measured for all levels of the method; .*; there is no level that keeps \(\d+, \d+, \d+\)",
        ),
        (
            {"method": {"name": "distreal", "resample": "round"}},
            r"not measured for all levels of the method; .*; there is no level that keeps",
        ),
        (
            {"method": {"name": "small", "width": 0.5}},
            r"not measured for all levels of the method; .*; there is no level that keeps",
        ),
    ],
)
def test_what_was_not_measured(file: Path, changes: dict[str, Any], message: str) -> None:
    """The error names the command that measures it."""
    with pytest.raises(InputError, match=f"cost: {message}") as caught:
        build(toy(cost=str(file), **changes))
    method = changes.get("method", {"name": "distreal"})["name"]
    assert f"`distreal-sim measure CONFIG method.name={method} --out {file}`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_of_the_same_parameters_on_larger_inputs(file: Path) -> None:
    """Its fingerprint is the same, its MACs are not."""
    data = json.loads(file.read_text())
    data["levels"][1]["macs_per_example"] += 1
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"it was measured with inputs of another size"):
        build(toy(cost=str(file)))


@pytest.mark.parametrize(
    "method", [{"name": "fiarse"}, {"name": "fjord", "distil": True}, {"name": "distreal", "distil": True}]
)
def test_methods_whose_steps_are_not_described_by_levels(file: Path, method: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"method {method['name']} .* not described by levels; set"):
        build(toy(cost=str(file), method=method))


def test_the_file_counts_by_its_content_in_the_hash(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    copy.write_bytes(file.read_bytes())
    assert toy(cost=str(copy)).hash() == toy(cost=str(file)).hash() != toy().hash()
    copy.write_bytes(file.read_bytes() + b"\n")
    assert toy(cost=str(copy)).hash() != toy(cost=str(file)).hash()
