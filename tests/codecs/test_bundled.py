"""The bundled codecs: bits, bounds of their errors, means, and what is kept; alone and in every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rounds import Played, play, round_of
from toys import TOY, toy
from variants import SOME, by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.client.client import OF_CODEC, Client, do
from distreal_sim.client.coding import decode_update, encode_update, moved_as, sent_models
from distreal_sim.client.coverage import sent_bytes
from distreal_sim.client.messages import Job, State, Update
from distreal_sim.client.task import Task
from distreal_sim.codecs import Codec
from distreal_sim.codecs.bf16 import Bf16
from distreal_sim.codecs.fp16 import Fp16
from distreal_sim.codecs.int8 import Int8
from distreal_sim.codecs.plain import Plain
from distreal_sim.codecs.random_k import RandomK
from distreal_sim.codecs.top_k import TopK
from distreal_sim.config.build import build
from distreal_sim.merging.average import trained_steps
from distreal_sim.methods import Method
from distreal_sim.run import run

Named = Mapping[str, np.ndarray]
LOSSY = [name for name in names(Codec) if name != "plain"]
STEADY = {"name": "constant", "level": 0.5}


def through(codec: Codec, arrays: Named, known: Named, kept: Named | None = None, seed: int = 0) -> Named:
    """The arrays as the receiver gets them."""
    encoded, _ = codec.encode(arrays, known, kept or {}, np.random.default_rng(seed))
    return codec.decode(encoded, known, np.random.default_rng(seed))


def change(codec: Codec, numbers: list[float] | np.ndarray, seed: int = 0) -> np.ndarray:
    """A change of zeros as the receiver gets it."""
    array = np.array(numbers, np.float32)
    return through(codec, {"a": array}, {"a": np.zeros_like(array)}, seed=seed)["a"]


def test_half_precision_by_hand() -> None:
    """11 bits: 1 + 2**-10 stays, 1 + 2**-11 is half-way and goes to the even 1, three quarters of it go up;
    2**-24 is the smallest number, and 70000 becomes the largest, 65504.
    """
    numbers = [1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-12, -(2.0**-24), 70000.0]
    assert change(Fp16(), numbers).tolist() == [1 + 2**-10, 1.0, 1 + 2**-10, -(2.0**-24), 65504.0]


def test_bfloat16_by_hand() -> None:
    """8 bits: 1 + 2**-7 stays, 1 + 2**-8 goes to the even 1 and 1 + 3 * 2**-8 to the even 1 + 2**-6."""
    numbers = [1 + 2**-7, 1 + 2**-8, 1 + 3 * 2**-8, -3e38, 1e-30, 0.0]
    got = change(Bf16(), numbers).tolist()
    assert got[:3] == [1 + 2**-7, 1.0, 1 + 2**-6]
    np.testing.assert_allclose(got[3:], numbers[3:], rtol=2**-8)


def test_bfloat16_is_torchs() -> None:
    import torch

    numbers = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert change(Bf16(), numbers).tolist() == torch.from_numpy(numbers).bfloat16().float().tolist()


def test_a_model_is_coded_without_what_is_known() -> None:
    numbers = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    for name in LOSSY:
        if (codec := load(Codec, name)()).codes_models:
            got = through(codec, {"a": numbers}, {})["a"]
            assert got.shape == numbers.shape
            np.testing.assert_allclose(got, numbers, atol=np.abs(numbers).max() / 127)


def test_int8_rounds_up_or_down() -> None:
    """The largest magnitude, 127, makes the step 1: whole numbers stay, 0.25 becomes 0 or 1."""
    got = np.array([change(Int8(), [127.0, -3.0, 0.25], seed) for seed in range(50)])
    assert (got[:, :2] == [127.0, -3.0]).all()
    assert set(got[:, 2]) == {0.0, 1.0}
    assert not change(Int8(), [0.0, 0.0]).any()


@pytest.mark.parametrize("codec", [Int8(), RandomK(share=0.25)])
def test_the_mean_is_exact(codec: Codec) -> None:
    """|mean of R draws - x| <= 6 sigma / sqrt(R), of which 50 numbers exceed one in 10 million times.

    int8: a number between two multiples of the step s has variance at most s**2 / 4, sigma = s / 2.
    random_k: x n / k with probability k / n, else 0: sigma = |x| sqrt(n / k - 1) = |x| sqrt(3).
    """
    n_draws, numbers = 4000, np.random.default_rng(1).normal(size=52).astype(np.float32)
    mean = np.mean([change(codec, numbers, seed) for seed in range(n_draws)], axis=0)
    step = np.abs(numbers).max() / 127
    sigma = step / 2 if isinstance(codec, Int8) else np.abs(numbers) * math.sqrt(3)
    assert (np.abs(mean - numbers) <= 6 * sigma / math.sqrt(n_draws) + 1e-6).all()


def test_top_k_sends_the_largest() -> None:
    """2 of 5: -4 and, of the two of magnitude 3, the first."""
    assert change(TopK(share=0.4), [1.0, 3.0, -4.0, -3.0, 0.5]).tolist() == [0.0, 3.0, -4.0, 0.0, 0.0]


def test_top_k_moves_what_is_known() -> None:
    """From 8, 2 and 5 by 1, -4 and 0.5: one of three travels, -4, and the others stay."""
    known, arrays = {"a": np.float32([8, 2, 5])}, {"a": np.float32([9, -2, 5.5])}
    assert through(TopK(share=0.3), arrays, known)["a"].tolist() == [8.0, -2.0, 5.0]


@pytest.mark.parametrize(
    "codec", [TopK(share=0.3), RandomK(share=0.3, feedback=True), TopK(share=0.3, feedback=False)]
)
def test_sent_and_kept_are_the_change_and_what_was_kept(codec: TopK | RandomK) -> None:
    """To the last bit: a number is sent or kept whole. 0.3 * 22 = 6.6: 7 of 22 numbers are sent."""
    rng = np.random.default_rng(0)
    shapes = {"b": (3, 4), "a": (10,)}
    known = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    kept: Named = {}
    for seed in range(4):
        arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        encoded, keeps = codec.encode(arrays, known, kept, np.random.default_rng(seed))
        sent = codec.decode(encoded, known, np.random.default_rng(seed))
        assert sum(int((own != 0).sum()) for own in sent.values()) == 7
        if not codec.feedback:
            assert not keeps
            continue
        for name, array in arrays.items():
            before = kept.get(name, np.float32(0))
            assert (sent[name] + keeps[name] == array + before).all()
            assert not (sent[name] * keeps[name]).any()
        kept = keeps


@pytest.mark.parametrize("codec", [TopK(share=1), RandomK(share=1), RandomK(share=1, feedback=True)])
def test_all_of_the_numbers_lose_nothing(codec: Codec) -> None:
    numbers = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    assert (change(codec, numbers) == numbers).all()


def test_bytes_by_hand() -> None:
    """Arrays of 600 and 400 numbers. 16 bits: 2000. int8: 1000 and a float32 for each array. A tenth: 100
    values of 32 bits; top_k: 10 more for each place among 1000, 4200 / 8 = 525.
    """
    bytes_of = {"fp16": 2000, "bf16": 2000, "int8": 1008, "random_k": 400, "top_k": 525, "plain": 4000}
    assert {name: load(Codec, name)().n_bytes([600, 400]) for name in names(Codec)} == bytes_of
    assert TopK(share=0.3).n_bytes([7]) == math.ceil(3 * (32 + 3) / 8)  # 2.1 numbers: 3, of 7 places
    assert TopK(share=0.5).n_bytes([16]) == 8 * (32 + 4) / 8  # 16 places, 0 to 15, take 4 bits
    assert TopK(share=0.07).n_bytes([100]) == math.ceil(7 * (32 + 7) / 8)  # 7, though 0.07 * 100 > 7
    assert TopK().n_bytes([]) == RandomK().n_bytes([]) == 0


def recount(name: str, travels: Named) -> int:
    """Bytes of what travels, counted from the arrays themselves."""
    n_values = sum(array.size for key, array in travels.items() if ":" not in key)
    if name == "int8":
        return n_values + 4 * sum(key.endswith(":step") for key in travels)
    return {"fp16": 2, "bf16": 2, "random_k": 4, "plain": 4}[name] * n_values


@cache
def coded(method: str, codec: str) -> tuple[Task, Method, list[Job], list[Update], list[Update]]:
    """(task, method, jobs, encoded updates, updates before they are encoded) of three clients in round 1."""
    experiment = toy(method={"name": method}, profile=STEADY, codec={"name": codec})
    task = build(experiment)
    state = experiment.method.start(task, State(task.engine.export()))
    jobs = experiment.method.plan(task, state, round_of(range(3)))
    exact = [experiment.method.train(Client(task, job.client_id, job.round), job) for job in jobs]
    updates = []
    for job, meant in zip(jobs, exact, strict=True):
        parts = experiment.method.travels(task, job, meant)
        arrays, _ = encode_update(task, job, meant, parts, {}) if meant.arrays else ({}, {})
        updates.append(replace(meant, arrays=arrays))
    return task, experiment.method, jobs, updates, exact


def held(task: Task, method: Method, job: Job, update: Update) -> dict[str, np.ndarray]:
    """Masks of the coordinates that travel, from the merge's matrices instead of index arrays."""
    if update.travels_whole:
        return {name: np.ones(array.shape, bool) for name, array in update.arrays.items()}
    if method.name == "fiarse":
        own = method.travels(task, job, update)
        return {name: own.get(name, np.ones(array.shape, bool)) for name, array in update.arrays.items()}
    found = {name: np.ones(array.shape, bool) for name, array in update.arrays.items()}
    for name, steps in trained_steps(task.structure, update).items():
        layout = task.structure.tensors[name]
        for dim, axis in enumerate(layout.axes):
            inner = np.concatenate([np.full(s.size, s.inner) for s in axis])
            if steps.shape[dim] != 1 and steps.shape[dim] != layout.shape[dim]:
                steps = np.repeat(steps, inner, axis=dim)
        found[name] = np.broadcast_to(steps > 0, layout.shape)
    return found


@pytest.mark.parametrize("method", by_default(names(Method), SOME))
def test_bytes_in_the_tables_are_those_of_what_travels(method: str) -> None:
    """In every method, whatever part of the network its clients train: recounted from the encoded arrays, and
    the coverage beside them from its own definition.
    """
    task, _, _, updates, _ = coded(method, "int8")
    for update in updates:
        if not update.arrays:
            continue
        counts = [[int(k.sum()) for k in step] for step in zip(*_steps(task, update), strict=True)]
        told = (
            sent_bytes(task.codec, task.structure, [tuple(c) for c in counts]) if update.travels_whole else 0
        )
        assert recount("int8", update.arrays) + told == update.facts.upload_bytes


def _steps(task: Task, update: Update) -> list[np.ndarray]:
    """For each group (n_steps, channels) bool."""
    groups = zip(task.structure.groups, update.coverage.kept, strict=True)
    return [np.ones((update.n_steps, g.channels), bool) if kept is None else kept for g, kept in groups]


@pytest.mark.parametrize("method", names(Method))
def test_what_does_not_travel_stays_and_what_does_is_near(method: str) -> None:
    """int8: each coordinate that travels is off by at most a step, 1/127 of its array's largest change; the
    others are as the client got them.
    """
    task, plugin, jobs, updates, exact = coded(method, "int8")
    assert sum(bool(update.arrays) for update in updates) > 1
    for job, update, meant in zip(jobs, updates, exact, strict=True):
        if not update.arrays:
            continue
        raw = replace(update, arrays=meant.arrays)
        got = decode_update(task, job, update, plugin.travels(task, job, raw))
        assert got.keys() == meant.arrays.keys()
        for name, mask in held(task, plugin, job, raw).items():
            before = job.arrays.get(name, np.zeros(mask.shape, np.float32))  # 0: a gradient
            moved = meant.arrays[name] - before
            step = np.abs(moved[mask]).max(initial=0) / 127
            assert np.abs(got[name] - meant.arrays[name])[mask].max(initial=0) <= step * 1.01 + 1e-6
            assert (got[name][~mask] == before[~mask]).all()


def test_what_is_kept_waits_at_full_width() -> None:
    """A client of heterofl with half the channels keeps nothing of those that it does not have; what another
    round left there stays.
    """
    task, plugin, jobs, _, exact = coded("heterofl", "top_k")
    job, meant = next(
        (j, u) for j, u in zip(jobs, exact, strict=True) if any(k is not None for k in u.coverage.kept)
    )
    earlier = {OF_CODEC + name: np.full(array.shape, 9, np.float32) for name, array in job.arrays.items()}
    memory = do(task, plugin, replace(job, memory=earlier)).memory
    assert memory is not None
    for name, mask in held(task, plugin, job, meant).items():
        kept = memory[OF_CODEC + name]
        assert kept.shape == mask.shape
        assert (kept[~mask] == 9).all()
        assert (kept[mask] != 9).any()


def n_numbers(played: Played) -> int:
    return sum(array.size for array in played.states[0].arrays.values())


def test_both_directions_count() -> None:
    """bfloat16 down, 2 bytes a number; int8 up, 1 and 4 an array."""
    played = play(1, method="fedavg", codec="int8", download_codec="bf16", profile=STEADY)
    n, n_arrays = n_numbers(played), len(played.states[0].arrays)
    assert {row.download_bytes for row in played.clients} == {2 * n}
    assert {row.upload_bytes for row in played.clients if row.status != "dropped"} == {n + 4 * n_arrays}


def test_link_time_is_that_of_the_coded_bytes() -> None:
    """A link of n bytes/s for n numbers: 4 s and 4 s in float32; 2 s down in bfloat16 and 2 s up in half
    precision.
    """
    n = sum(build(toy(method="fedavg")).model_sizes)
    link = {"name": "constant", "download_bytes_per_s": float(n), "upload_bytes_per_s": float(n)}
    own = {"method": "fedavg", "link": link, "profile": {"name": "constant", "level": 1000.0}}
    plain, small = (play(1, **own, **c).clients for c in ({}, {"codec": "fp16", "download_codec": "bf16"}))
    assert [a.sim_s - b.sim_s for a, b in zip(plain, small, strict=True)] == pytest.approx([4.0] * 5)


def test_clients_train_the_model_that_they_decode_and_the_server_keeps_its_own() -> None:
    """Of the model w the clients get q(w) and return q(w) + c; the server merges w + c. With a learning rate
    of 0 nothing moves, to the last bit, although q(w) is not w.
    """
    still = {"local": {**TOY["local"], "lr": 0.0, "optimizer": {"momentum": 0.9}}, "method": "fedavg"}
    played = play(2, download_codec="int8", profile=STEADY, **still)
    assert [played.states[2].arrays[n].tobytes() for n in played.states[0].arrays] == [
        array.tobytes() for array in played.states[0].arrays.values()
    ]
    state = played.states[0]
    task = build(toy(download_codec="int8", **still))
    jobs = sent_models(task, [Job(c, round_of(range(2)), state.arrays) for c in range(2)])
    assert jobs[0].arrays is jobs[1].arrays
    step = np.abs(state.arrays["classifier.weight"]).max() / 127 if "classifier.weight" in state.arrays else 1
    off = {name: np.abs(jobs[0].arrays[name] - array).max() for name, array in state.arrays.items()}
    assert 0 < max(off.values()) <= max(step, max(np.abs(a).max() for a in state.arrays.values()) / 127)
    moved = moved_as({"a": np.float32([3.0])}, {"a": np.float32([2.5])}, {"a": np.float32([7.0])})
    assert moved["a"].tolist() == [7.5]


@pytest.mark.parametrize(
    "codec", ["top_k", *(pytest.param(c, marks=pytest.mark.slow) for c in LOSSY if c != "top_k")]
)
def test_messages_change_nothing(codec: str, tmp_path: Path) -> None:
    """The same model by messages to a Flower app and by calls, with sub-networks and a memory."""
    own = {"method": "heterofl", "codec": codec, "download_codec": "int8", "clients_per_round": 8}
    played = play(2, **own)
    run(toy(rounds=2, **own), tmp_path / "run", grid="serial")
    from safetensors.numpy import load_file

    model = load_file(tmp_path / "run" / "model.safetensors")
    assert all(model[name].tobytes() == array.tobytes() for name, array in played.states[-1].arrays.items())


@pytest.mark.parametrize("codec", ["top_k", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_same(codec: str, tmp_path: Path) -> None:
    """Cut after round 3 of 4, one after its last checkpoint: what clients kept is in it."""
    experiment = toy(method="fedavg", codec=codec, download_codec="int8", profile=STEADY)

    def stop(row: object) -> None:
        if row.round == 3:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    run(experiment, tmp_path / "whole", grid="serial")
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "cut", grid="serial", callbacks=[stop])
    run(experiment, tmp_path / "cut", grid="serial", resume=True)
    for name in ("rounds.csv", "model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("codec", LOSSY)
def test_ray_gives_what_serial_gives(codec: str, tmp_path: Path) -> None:
    experiment = toy(codec={"name": codec}, download_codec="int8")
    run(experiment, tmp_path / "serial", grid="serial")
    run(experiment, tmp_path / "ray", grid="ray", n_workers=2)
    for name in ("rounds.csv", "model.safetensors"):
        assert (tmp_path / "serial" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()


Parse = Callable[[], object]


@pytest.mark.parametrize(
    ("parse", "message"),
    [
        (
            lambda: toy(download_codec="top_k"),
            "download_codec: top_k encodes changes.*valid: bf16, fp16, int8, plain",
        ),
        (
            lambda: toy(download_codec="int9"),
            "download_codec.name: unknown codec 'int9'; did you mean 'int8'",
        ),
        (lambda: toy(codec={"name": "top_k", "share": 0}), "codec.share"),
        (
            lambda: toy(method="fedavg", codec="int8", evaluation={"batch_norm": "running"}),
            "batch_norm running cannot be used with codec int8",
        ),
    ],
)
def test_mistakes(parse: Parse, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse()


def test_names_that_mean_plain() -> None:
    assert toy().download_codec == Plain() == toy(download_codec={"name": "plain"}).download_codec
