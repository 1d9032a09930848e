"""What a lossy codec with a memory of its own does to a run: bytes, errors carried over, resuming.

The bundled codecs: see test_bundled.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rounds import ROUND, play
from toys import TOY, toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.client.client import do
from distreal_sim.client.messages import Job
from distreal_sim.codecs import Arrays, Codec
from distreal_sim.codecs.plain import Plain
from distreal_sim.config import parse_experiment
from distreal_sim.config.build import build
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.run import run

STEP = 0.25


class Steps(Codec):
    """Changes as whole multiples of STEP, one byte each; what is left over is added to the next change."""

    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        change = {name: array - known[name] + kept.get(name, 0.0) for name, array in arrays.items()}
        steps = {name: np.round(own / STEP) for name, own in change.items()}
        left = {name: own - STEP * steps[name] for name, own in change.items()}
        return {name: own.astype(np.int8) for name, own in steps.items()}, left

    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        return {name: known[name] + np.float32(STEP) * own for name, own in encoded.items()}

    def n_bytes(self, sizes: Iterable[int]) -> int:
        return sum(sizes)


class Nudging(FedAvg):
    """Trains, and then returns what it got plus 0.35 everywhere; counts its rounds in its own memory."""

    def train(self, client, job):  # type: ignore[no-untyped-def]
        assert not [name for name in job.memory if "codec" in name]
        update = super().train(client, job)
        count = job.memory.get("count", np.zeros(1)) + 1
        moved = {name: array + np.float32(0.35) for name, array in job.arrays.items()}
        return replace(update, arrays=moved, memory={"count": count})


def changes(n_rounds: int) -> list[float]:
    """By how much a client's decoded update moves every coordinate in each round."""
    task = build(toy(method=Nudging(), codec=Steps()))
    arrays, memory, found = task.engine.export(), {}, []
    for _ in range(n_rounds):
        update = do(task, Nudging(), Job(3, ROUND, arrays, memory))
        assert update.memory is not None
        memory = dict(update.memory)
        assert {array.dtype for array in update.arrays.values()} == {np.dtype(np.int8)}
        decoded = task.codec.decode(update.arrays, arrays, np.random.default_rng(0))
        moved = np.concatenate([(decoded[name] - arrays[name]).ravel() for name in arrays])
        np.testing.assert_allclose(moved, moved[0], atol=1e-6)
        found.append(round(float(moved[0]), 6))
    assert memory["count"].tolist() == [n_rounds]
    return found


def test_what_is_lost_comes_with_the_next_update() -> None:
    """0.35 = 1.4 steps: 1 is sent, 0.4 left; 1.8: 2 and -0.2; 1.2: 1 and 0.2; 1.6: 2 and -0.4."""
    assert changes(4) == [0.25, 0.5, 0.25, 0.5]


def test_the_merge_gets_decoded_updates() -> None:
    """All clients move every coordinate by 0.25 in their first round, and so does the mean."""
    played = play(1, method=Nudging(), codec=Steps(), profile={"name": "constant", "level": 1000.0})
    before, after = played.states[0].arrays, played.states[1].arrays
    for name, array in after.items():
        np.testing.assert_allclose(array - before[name], 0.25, atol=1e-6)


def test_bytes_of_an_update_are_the_codecs() -> None:
    """The model goes out in float32, and one byte a number comes back."""
    played = play(1, method={"name": "fedavg"}, codec=Steps(), profile={"name": "constant", "level": 1000.0})
    n_numbers = sum(array.size for array in played.states[0].arrays.values())
    assert {(row.download_bytes, row.upload_bytes) for row in played.clients} == {(4 * n_numbers, n_numbers)}


def test_a_smaller_update_leaves_more_time() -> None:
    """Upload of 4 n bytes at n bytes/s takes 4 s in float32, 1 s with a byte a number: the client is done
    3 s earlier.
    """
    n_numbers = sum(build(toy(method={"name": "fedavg"})).model_sizes)
    network = {"name": "constant", "download_bytes_per_s": 1e9, "upload_bytes_per_s": float(n_numbers)}
    own = {"method": {"name": "fedavg"}, "link": network, "profile": {"name": "constant", "level": 1000.0}}
    plain, small = (play(1, codec=codec, **own).clients for codec in (Plain(), Steps()))
    assert [a.sim_s - b.sim_s for a, b in zip(plain, small, strict=True)] == pytest.approx([3.0] * 5)


def test_what_a_codec_keeps_survives_a_resume(tmp_path: Path) -> None:
    experiment = toy(method="fedavg", codec=Steps(), rounds=4)
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    def stop(row: object) -> None:
        if row.round == 3:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    run(experiment, whole, grid="serial")
    with pytest.raises(KeyboardInterrupt):
        run(experiment, cut, grid="serial", callbacks=[stop])
    run(experiment, cut, grid="serial", resume=True)
    for name in ("rounds.csv", "model.safetensors"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()


@pytest.mark.parametrize("name", names(Codec))
def test_contract(name: str) -> None:
    """What is decoded has the names, shapes and types of what was encoded, which is not changed."""
    codec = load(Codec, name)()
    rng = np.random.default_rng(0)
    known = {n: rng.normal(size=(3, 5)).astype(np.float32) for n in ("a", "b")}
    arrays = {"b": rng.normal(size=(3, 5)).astype(np.float32)}
    copy, kept = arrays["b"].copy(), {}
    for seed in range(3):
        encoded, kept = codec.encode(arrays, known, kept, np.random.default_rng(seed))
        back = codec.decode(encoded, known, np.random.default_rng(seed))
        assert {n: (a.shape, a.dtype) for n, a in back.items()} == {"b": ((3, 5), np.dtype(np.float32))}
        assert arrays["b"].tobytes() == copy.tobytes()
    assert codec.n_bytes([15, 7]) > codec.n_bytes([15]) > 0
    assert codec.coverage_bytes(9) == 2
    assert codec.coverage_bytes(np.array([0, 1, 8, 9])).tolist() == [0, 1, 1, 2]


def test_plain_is_float32() -> None:
    """4 * (15 + 7) bytes, and the arrays themselves."""
    arrays = {"a": np.ones(3, np.float32)}
    rng = np.random.default_rng(0)
    encoded, kept = Plain().encode(arrays, arrays, {}, rng)
    assert Plain().decode(encoded, arrays, rng)["a"] is arrays["a"]
    assert not kept
    assert Plain().n_bytes([15, 7]) == 88


def test_a_codec_is_named_in_the_config() -> None:
    assert toy().codec == Plain() == toy(codec={"name": "plain"}).codec
    assert toy().resolved()["codec"] == {"name": "plain"}
    with pytest.raises(InputError, match=r"codec.name: unknown codec 'plane'; did you mean 'plain'"):
        parse_experiment({**TOY, "codec": "plane"}, source="my.yaml")
