"""Flower's strategies as the server's merge: by hand, against Flower itself, and across a checkpoint."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command import distreal_sim
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as bundled
from pyarrow import parquet
from rounds import ROUND, round_of
from safetensors.numpy import load, save
from serial_grid import SerialGrid
from toys import TOY, toy, toy_fleet
from variants import SOME, by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Arrays, Facts, Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, json_schema, parse_experiment
from distreal_sim.config.build import build
from distreal_sim.merging.flower_options import strategies
from distreal_sim.merging.merges.average import Average
from distreal_sim.methods import Method
from distreal_sim.run import run

FULL = {"name": "fedavg"}
FLOWER = {"name": "flower"}
ADAM = {**FLOWER, "strategy": "FedAdam"}


def experiment(strategy: str | None = None, **options: Any) -> Experiment:
    merge = {"name": "flower", "strategy": strategy, **options} if strategy else "average"
    return toy(method=FULL, merge=merge, clients_per_round=7)


@pytest.fixture(scope="module")
def task() -> Task:
    return build(toy(method=FULL))


def with_merge(task: Task, strategy: str | None, **options: Any) -> Task:
    return replace(task, merge=experiment(strategy, **options).merge)


def merge_updates(task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
    return task.merge.merge(task, state, now, updates)


def update(task: Task, client_id: int, arrays: Arrays, n_examples: int, loss: float = 1.0) -> Update:
    facts = Facts(client_id, "completed", n_examples, 1, 1, 1, 1.0, 1.0, 1, 1, loss)
    coverage = (None,) * len(task.structure.groups)
    return Update(facts, arrays, Coverage(coverage, np.array([n_examples]), np.array([1])))


def full(task: Task, value: float) -> dict[str, np.ndarray]:
    return {
        name: np.full(task.structure.tensors[name].shape, value, np.float32)
        for name in task.structure.parameters
    }


def play(task: Task, start: float, rounds: Sequence[Sequence[tuple[float, int]]]) -> list[float]:
    """The value of all parameters after each round. rounds: of each client (value, number of examples)."""
    state, values = State(full(task, start)), []
    for number, clients in enumerate(rounds, 1):
        updates = [update(task, c, full(task, value), n) for c, (value, n) in enumerate(clients)]
        state = merge_updates(task, state, round_of((), number), iter(updates))
        for name, array in state.arrays.items():
            assert array.dtype == np.float32
            assert array.shape == task.structure.tensors[name].shape
            assert (array == next(iter(state.arrays.values())).flat[0]).all()
        values.append(float(array.flat[0]))
    return values


def test_fedavg_by_hand(task: Task) -> None:
    """(1 * 2 + 3 * 4) / 4 = 3.5."""
    assert play(with_merge(task, "FedAvg"), 1.0, [[(2, 1), (4, 3)]]) == [3.5]


def test_fedavgm_by_hand(task: Task) -> None:
    """Learning rate 0.5, momentum 0.5, from x = 1. Round 1: mean 3.5, v = 1 - 3.5 = -2.5, x = 1 + 1.25 =
    2.25. Round 2: mean 3.25, v = 0.5 * -2.5 - 1 = -2.25, x = 2.25 + 1.125 = 3.375.
    """
    options = {"server_learning_rate": 0.5, "server_momentum": 0.5}
    values = play(with_merge(task, "FedAvgM", **options), 1.0, [[(2, 1), (4, 3)], [(3.25, 5)]])
    assert values == [2.25, 3.375]


def test_fedadam_by_hand(task: Task) -> None:
    """eta 1, beta_1 0.5, beta_2 0.75, tau 0.5, from x = 1; Flower counts round r as Adam's step r + 1.

    Round 1: delta = 3.5 - 1 = 2.5, m = 1.25, v = 6.25 / 4, sqrt(v) = 1.25, step size sqrt(1 - 0.75^2) /
    (1 - 0.5^2) = 0.8819171, x = 1 + 0.8819171 * 1.25 / 1.75 = 1.6299408. Round 2: delta = 2.6299408 - x = 1,
    m = 0.625 + 0.5 = 1.125, v = 0.75 * 1.5625 + 0.25 = 1.421875, sqrt(v) = 1.1924240, step size sqrt(1 -
    0.75^3) / (1 - 0.5^3) = 0.8689661, x = 1.6299408 + 0.8689661 * 1.125 / 1.6924240 = 2.2075660.
    """
    options = {"eta": 1, "beta_1": 0.5, "beta_2": 0.75, "tau": 0.5}
    values = play(with_merge(task, "FedAdam", **options), 1.0, [[(2, 1), (4, 3)], [(2.6299408, 1)]])
    assert values == pytest.approx([1.6299408, 2.2075660], rel=1e-6)


def test_fedyogi_by_hand(task: Task) -> None:
    """As FedAdam, but x = 1 + 1.25 / 1.75 = 1.7142857. Round 2: delta = 1, m = 1.125, v = 1.5625 - 0.25 * 1
    = 1.3125, x = 1.7142857 + 1.125 / (1.1456439 + 0.5) = 2.3979087.
    """
    options = {"eta": 1, "beta_1": 0.5, "beta_2": 0.75, "tau": 0.5}
    values = play(with_merge(task, "FedYogi", **options), 1.0, [[(2, 1), (4, 3)], [(2.7142857, 1)]])
    assert values == pytest.approx([1.7142857, 2.3979087], rel=1e-6)


def test_fedadagrad_by_hand(task: Task) -> None:
    """eta 1, tau 0.5. Round 1: delta 2.5, v = 6.25, x = 1 + 2.5 / 3 = 1.8333333. Round 2: delta 6, v = 42.25,
    x = 1.8333333 + 6 / 7 = 2.6904762.
    """
    values = play(with_merge(task, "FedAdagrad", eta=1, tau=0.5), 1.0, [[(2, 1), (4, 3)], [(7.8333333, 1)]])
    assert values == pytest.approx([1.8333333, 2.6904762], rel=1e-6)


def test_median_and_trimmed_mean_by_hand(task: Task) -> None:
    """Numbers of examples count for nothing. Median of 1, 2, 10 is 2, of 1, 2, 10, 20 is 6; a quarter cut off
    both ends of 0, 1, 3, 100 leaves 1 and 3.
    """
    rounds = [[(10, 9), (1, 1), (2, 1)], [(20, 1), (1, 7), (10, 1), (2, 1)]]
    assert play(with_merge(task, "FedMedian"), 0.0, rounds) == [2.0, 6.0]
    trimmed = with_merge(task, "FedTrimmedAvg", beta=0.25)
    assert play(trimmed, 0.0, [[(100, 9), (0, 1), (3, 1), (1, 1)]]) == [2.0]


def test_krum_by_hand(task: Task) -> None:
    """0, 1, 1.5, 100, none malicious: each is scored by its 4 - 2 closest. 0: 1 + 2.25; 1: 0.25 + 1; 1.5:
    0.25 + 2.25. Krum takes 1; Multi-Krum with two takes 1 (1 example) and 1.5 (3): 5.5 / 4.
    """
    clients = [(100, 1), (0, 1), (1.5, 3), (1, 1)]
    assert play(with_merge(task, "Krum"), 0.0, [clients]) == [1.0]
    assert play(with_merge(task, "MultiKrum", num_nodes_to_select=2), 0.0, [clients]) == [1.375]


STRATEGIES: dict[str, dict[str, float]] = {
    "FedAvg": {},
    "FedAdam": {"eta": 0.05, "beta_1": 0.8},
    "FedYogi": {"eta": 0.05},
    "FedAdagrad": {"eta": 0.05},
    "FedAvgM": {"server_momentum": 0.9, "server_learning_rate": 0.7},
    "FedMedian": {},
    "FedTrimmedAvg": {"beta": 0.3},
    "Krum": {"num_malicious_nodes": 1},
    "MultiKrum": {"num_malicious_nodes": 1, "num_nodes_to_select": 3},
    "Bulyan": {"num_malicious_nodes": 1},
    "QFedAvg": {"client_learning_rate": 0.1, "q": 0.2},
}

N_CLIENTS, N_ROUNDS = 7, 3


def test_every_strategy_is_here() -> None:
    assert sorted(STRATEGIES) == strategies()


def step(client_id: int, round_number: int, arrays: Arrays) -> tuple[dict[str, np.ndarray], int, float]:
    """What client and round make of the arrays they got, how many examples it has, and its loss."""
    rng = np.random.default_rng([client_id, round_number])
    moved = {n: (a + rng.normal(0.1, 0.3, a.shape)).astype(np.float32) for n, a in sorted(arrays.items())}
    return moved, 3 + client_id, 0.5 + client_id / 10


def flowers_own(name: str, options: dict[str, float], start: Arrays) -> dict[str, np.ndarray]:
    """The arrays after three rounds of Flower's loop, with a strategy that lives through them."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        arrays = {n: a.numpy() for n, a in message.content.array_records["arrays"].items()}
        round_number = int(message.content.config_records["config"]["server-round"])  # type: ignore[arg-type]
        moved, n_examples, loss = step(context.node_id, round_number, arrays)
        record = ArrayRecord({n: Array(a) for n, a in moved.items()})
        metrics = MetricRecord({"num-examples": n_examples, "train_loss": loss})
        return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=message)

    strategy = getattr(bundled, name)(fraction_evaluate=0.0, **options)
    # FedAvgM and QFedAvg match arrays by position, so clients must answer in the order they were asked in.
    record = ArrayRecord({n: Array(a) for n, a in sorted(start.items())})
    gc.freeze()  # or Flower's own collections, one a client, take a tenth of a second each
    result = strategy.start(SerialGrid(app, N_CLIENTS), record, num_rounds=N_ROUNDS)
    gc.unfreeze()
    return {n: a.numpy() for n, a in result.arrays.items()}


def ours(task: Task, start: Arrays, *, interrupted: bool = False) -> State:
    """Three rounds of merge_updates; interrupted: through a checkpoint, in another order, after each."""
    state = State(start)
    for round_number in range(1, N_ROUNDS + 1):
        replies = [step(c, round_number, state.arrays) for c in range(N_CLIENTS)]
        updates = [update(task, c, *reply) for c, reply in enumerate(replies)]
        state = merge_updates(task, state, round_of((), round_number), iter(updates))
        if interrupted:
            arrays, extras = (load(save(dict(part))) for part in (state.arrays, state.extras))
            state = State(*(dict(reversed(part.items())) for part in (arrays, extras)))
    return state


@pytest.fixture(scope="module")
def start(task: Task) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {n: rng.normal(size=a.shape).astype(np.float32) for n, a in full(task, 0).items()}


@pytest.mark.parametrize("name", STRATEGIES)
def test_equals_flowers_own_loop(name: str, task: Task, start: dict[str, np.ndarray]) -> None:
    """Three rounds; Flower adds float32 replies in a random order, and leaves FedAdam's result in float64."""
    options = STRATEGIES[name]
    expected = flowers_own(name, options, start)
    merged = ours(with_merge(task, name, **options), start).arrays
    assert set(merged) == set(expected)
    for key, array in merged.items():
        np.testing.assert_allclose(array, expected[key], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", [*STRATEGIES, "strategies.Keeping"])
def test_a_checkpoint_changes_no_byte(name: str, task: Task, start: dict[str, np.ndarray]) -> None:
    merging = with_merge(task, name, **STRATEGIES.get(name, {}))
    once, cut = ours(merging, start), ours(merging, start, interrupted=True)
    for one, other in ((once.arrays, cut.arrays), (once.extras, cut.extras)):
        assert {n: a.tobytes() for n, a in one.items()} == {n: a.tobytes() for n, a in other.items()}


def test_flowers_fedavg_is_ours(task: Task, start: dict[str, np.ndarray]) -> None:
    flower, own = (ours(with_merge(task, name), start).arrays for name in ("FedAvg", None))
    for key, array in own.items():
        np.testing.assert_allclose(flower[key], array, rtol=1e-6, atol=1e-6)


def test_state_goes_in_and_comes_out(task: Task, start: dict[str, np.ndarray]) -> None:
    """What went in is not changed, and merging it again gives the same; what a method keeps stays."""
    merging = with_merge(task, "strategies.Keeping", step=0.5)
    first = ours(merging, start)
    own = State(first.arrays, {**first.extras, "mine": np.array([4.0])})
    before = pickle.dumps({n: a.tobytes() for n, a in {**own.arrays, **own.extras}.items()})
    updates = [update(task, 0, full(task, 1.0), 1)]
    one, other = (merge_updates(merging, own, round_of((), N_ROUNDS + 1), iter(updates)) for _ in range(2))
    assert pickle.dumps({n: a.tobytes() for n, a in {**own.arrays, **own.extras}.items()}) == before
    assert one.arrays["linear.bias"].tolist() == other.arrays["linear.bias"].tolist() == [1 + 0.5 * 4] * 10
    assert one.extras["mine"] is own.extras["mine"]


def test_adam_keeps_its_moments_only(task: Task, start: dict[str, np.ndarray]) -> None:
    extras = ours(with_merge(task, "FedAdam"), start).extras
    assert len(extras) == 2 * len(start)
    assert {key.rsplit("/", 1)[0].rpartition("/dict/")[0] for key in extras} == {"merge/m_t", "merge/v_t"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_round_without_updates(name: str, task: Task, start: dict[str, np.ndarray]) -> None:
    """Nothing moves, momentum neither."""
    merging = with_merge(task, name, **STRATEGIES[name])
    before = ours(merging, start)
    after = merge_updates(merging, before, round_of((), N_ROUNDS + 1), iter([]))
    assert {n: a.tobytes() for n, a in after.arrays.items()} == {
        n: a.tobytes() for n, a in before.arrays.items()
    }
    assert {n: a.tobytes() for n, a in after.extras.items()} == {
        n: a.tobytes() for n, a in before.extras.items()
    }


def test_parts_of_the_network_are_refused(task: Task) -> None:
    merging = with_merge(task, "FedMedian")
    whole = update(task, 3, full(task, 1.0), 1)
    channels = task.structure.groups[0].channels
    thinned = replace(
        whole, coverage=replace(whole.coverage, kept=(np.ones((1, channels), bool), *whole.coverage.kept[1:]))
    )
    frozen = replace(whole, arrays={n: a for n, a in whole.arrays.items() if n != "linear.bias"})
    for part in (thinned, frozen):
        with pytest.raises(InputError) as caught:
            merge_updates(merging, State(full(task, 0.0)), ROUND, iter([whole, part]))
        assert str(caught.value) == (
            "merge.strategy FedMedian can only merge updates of the whole network, and client 3 trained a "
            "part of it; use a method that always trains all, like method.name=fedavg, or leave merge out"
        )


def test_what_no_checkpoint_can_hold_is_refused(task: Task) -> None:
    merging = with_merge(task, "strategies.Hoarding")
    with pytest.raises(InputError) as caught:
        merge_updates(merging, State(full(task, 0.0)), ROUND, iter([update(task, 0, full(task, 1.0), 1)]))
    assert str(caught.value) == (
        "merge.strategy strategies.Hoarding keeps `optimizer`, a object, from round to round; a checkpoint "
        "can hold numbers, arrays, lists and dicts of arrays, and ArrayRecords"
    )


OF_ADAM = "merge flower has: beta_1, beta_2, eta, strategy, tau"
ABOUT = "(strategy of Flower, or the dotted path of a subclass of Flower's FedAvg)"
VALID = ", ".join(sorted(STRATEGIES))
OWN = "or the dotted path of a subclass of Flower's FedAvg"


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        (
            {**FLOWER, "strategy": "FedAdm"},
            f"merge: unknown strategy 'FedAdm'; did you mean 'FedAdam'? (valid: {VALID}), {OWN}",
        ),
        (
            {**FLOWER, "strategy": "FedAdam", "etaa": 0.1},
            f"unknown key 'merge.etaa' = 0.1; did you mean 'merge.eta'? ({OF_ADAM})",
        ),
        (
            {**FLOWER, "strategy": "FedAdam", "fraction_train": 1},
            f"unknown key 'merge.fraction_train' = 1 ({OF_ADAM})",
        ),
        ({**FLOWER, "strategy": "FedAdam", "eta": "big"}, "merge.eta = 'big' must be a number"),
        ({**FLOWER, "strategy": "FedAdam", "eta": -1}, "merge.eta = -1 must be greater than 0"),
        ({**FLOWER, "strategy": "FedAdam", "eta": float("inf")}, "merge.eta = inf must be a finite number"),
        ({**FLOWER, "strategy": "FedTrimmedAvg", "beta": 0.5}, "merge.beta = 0.5 must be less than 0.5"),
        (
            {**FLOWER, "strategy": "MultiKrum", "num_nodes_to_select": 1.5},
            "merge.num_nodes_to_select = 1.5 must be a whole number",
        ),
        (
            {**FLOWER, "strategy": "FedAdam", "weight": "macs"},
            f"unknown key 'merge.weight' = 'macs' ({OF_ADAM})",
        ),
        ({**FLOWER, "strategy": "QFedAvg"}, "key 'merge.client_learning_rate' is missing"),
        (
            {**FLOWER, "strategy": 3},
            "merge.strategy = 3 must be text, in quotes " + ABOUT,
        ),
        (
            {**FLOWER, "strategy": "FedProx"},
            "merge: strategy 'FedProx' cannot be the server's merge: on the server it is FedAvg; the "
            "clients' part is method.name=fedprox",
        ),
        (
            {**FLOWER, "strategy": "FedXgbBagging"},
            "merge: strategy 'FedXgbBagging' cannot be the server's merge: it merges trees",
        ),
        (
            {**FLOWER, "strategy": "DifferentialPrivacyClientSideFixedClipping"},
            "merge: strategy 'DifferentialPrivacyClientSideFixedClipping' cannot be the server's "
            "merge: it wraps another strategy and draws noise from a global generator",
        ),
        (
            {**FLOWER, "strategy": "strategies.Demanding"},
            "merge: strategy 'strategies.Demanding' cannot be made from a config: its parameter rule "
            "has no default and is not declared as int, float, bool or str",
        ),
        (
            {**FLOWER, "strategy": "json.JSONDecoder"},
            "merge: strategy 'json.JSONDecoder' is not a subclass of flwr.serverapp.strategy.FedAvg",
        ),
        (
            {**FLOWER, "strategy": "Bulyan", "num_malicious_nodes": 1},
            "clients_per_round (5) must be at least 7 for merge.strategy Bulyan, which merges no fewer "
            "updates",
        ),
        (
            {"flower": "FedAdam"},
            "merge needs a `name`; is 'name: flower' meant? (valid: average, flower)",
        ),
        ({"strategy": "FedAdam"}, "merge needs a `name` (valid: average, flower)"),
        (
            {**FLOWER, "eta": 1},
            "key 'merge.strategy' is missing " + ABOUT,
        ),
        (
            {"name": "average", "wieght": "macs"},
            "unknown key 'merge.wieght' = 'macs'; did you mean 'merge.weight'? (merge average has: weight)",
        ),
    ],
)
def test_mistakes(merge: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_experiment({**TOY, "method": FULL, "merge": merge}, source="my.yaml")
    assert str(caught.value) == f"my.yaml: {expected}"


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("distreal", "lets clients train parts of the network: it merges updates of the whole network only"),
        ("fedrolex", "lets clients train parts of the network: it merges updates of the whole network only"),
        ("fednova", "has a merge of its own"),
    ],
)
def test_methods_whose_updates_flower_cannot_merge(method: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_experiment(
            {**TOY, "method": method, "merge": {**FLOWER, "strategy": "FedAdam"}}, source="my.yaml"
        )
    assert str(caught.value) == (
        f"my.yaml: merge.strategy FedAdam cannot be used with method.name {method}, which {why}; use a "
        "method like fedavg, or leave merge out"
    )


@pytest.mark.parametrize("name", by_default(names(Method), SOME))
def test_every_method_says_if_its_clients_train_parts(name: str) -> None:
    """Those with `trains_parts` send some updates of a part, the others none, whatever the capacity: with
    arrays or channels missing, or fewer bytes than those of the model.
    """
    profile = {"name": "markov", "levels": [0.5, 5.0], "changes_per_round": 3}
    made = toy(method={"name": name}, profile=profile, rounds=1, clients_per_round=12)
    task, fleet = toy_fleet(made)
    state = made.method.start(task, State(task.engine.export()))
    jobs = made.method.plan(task, state, round_of(range(12)))
    updates = [update for update in fleet.train(jobs) if update.is_merged]
    n_bytes = sum(array.nbytes for array in state.arrays.values())
    parts = [
        not set(one.arrays) >= set(state.arrays)
        or any(kept is not None for kept in one.coverage.kept)
        or one.facts.upload_bytes < n_bytes
        for one in updates
    ]
    assert len(parts) > 2
    assert any(parts) == made.method.trains_parts


def test_defaults_are_written_down() -> None:
    """What a run is played with does not hang on the version of Flower; and it reads back as itself."""
    made = experiment("FedAdam", eta=1)
    plain = made.resolved()["merge"]
    assert plain == {
        "name": "flower", "strategy": "FedAdam", "eta": 1.0, "beta_1": 0.9, "beta_2": 0.99, "tau": 0.001
    }  # fmt: skip
    again = parse_experiment(yaml.safe_load(yaml.safe_dump(made.resolved())), source="again")
    assert again.resolved() == made.resolved()
    assert again.hash() == made.hash() != experiment("FedAdam", eta=2).hash()
    assert pickle.loads(pickle.dumps(made.merge)) == made.merge
    assert experiment().merge == Average() == toy().merge


def test_the_schema_knows_the_options() -> None:
    choices = json_schema()["properties"]["merge"]["anyOf"]
    adam = next(c for c in choices if c.get("properties", {}).get("strategy", {}).get("const") == "FedAdam")
    assert set(adam["properties"]) == {"name", "strategy", "eta", "beta_1", "beta_2", "tau"}
    assert adam["additionalProperties"] is False


def test_from_the_command_line(tmp_path: Path) -> None:
    """Stopped after round 3 and resumed, a run ends in the bytes of one that was not; Flower says nothing."""
    config = tmp_path / "toy.yaml"
    merge = {**FLOWER, "strategy": "FedAdam", "eta": 0.03}
    method = FULL
    config.write_text(yaml.safe_dump({**TOY, "method": method, "merge": merge, "rounds": 5}))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done = distreal_sim("run", config, "--quiet", "--grid", "serial", "--out", whole)
    assert (done.code, done.stderr) == (0, "")

    def stop(row: Any) -> None:
        if row.round == 3:
            raise KeyboardInterrupt

    made = toy(method=method, merge=merge, rounds=5)
    with pytest.raises(KeyboardInterrupt):
        run(made, cut, grid="serial", callbacks=[stop])
    run(made, cut, grid="serial", resume=True)
    for name in ("rounds.csv", "model.safetensors", "config.yaml"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    tables = [parquet.read_table(folder / "clients.parquet") for folder in (whole, cut)]
    assert tables[0].equals(tables[1])
