"""Federated Dropout: who draws which channels, how often, and what others count for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rounds import ROUND, play, round_of
from toys import whole_toy

from distreal_sim.client.client import Client
from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, Job, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.methods.federated_dropout import FederatedDropout
from distreal_sim.simulation.rounds import start
from distreal_sim.thinning.cost import n_parameters
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Counts


@pytest.fixture(scope="module")
def task() -> Task:
    """Groups of 4, 8 and 16 channels."""
    return build(whole_toy(method={"name": "federated_dropout"}))


def kept(mask: Mask) -> list[list[int] | None]:
    return [None if k is None else k.tolist() for k in mask.kept]


def mask_of(method: FederatedDropout, task: Task, number: int, client_id: int, counts: Counts) -> Mask:
    """The channels of a client's sub-network in a round."""
    now = round_of([client_id], number)
    mask = method.masks(Client(task, client_id, now), Job(client_id, now, {}))(0, counts)
    assert mask is not None
    return mask


def test_each_channel_is_kept_as_often_as_the_share_says(task: Task) -> None:
    """n = 400 rounds, 2 of 8 channels: each is kept Binomial(400, 1/4) times: 100, standard deviation 8.66.

    The bound of 4.5 deviations fails for one of 28 channels in a fair world with probability 2e-4, and the
    draws are keyed, so that it holds for ever once it holds.
    """
    counts, n = (1, 2, 4), 400
    frequency = [np.zeros(group.channels) for group in task.structure.groups]
    for round_number in range(1, n + 1):
        mask = mask_of(FederatedDropout(), task, round_number, 3, counts)
        assert mask.counts(task.structure) == counts
        for total, channels in zip(frequency, mask.kept, strict=True):
            total[channels] += 1
    bound = 4.5 * math.sqrt(n * 0.25 * 0.75)
    for total in frequency:
        assert total.sum() == n * len(total) / 4
        np.testing.assert_allclose(total, n / 4, atol=bound)


def test_two_clients_differ_only_if_drawn_per_client(task: Task) -> None:
    """Also: the same client has the same channels when asked again, and others in the next round."""
    counts = (2, 4, 8)
    each, shared = FederatedDropout(), FederatedDropout(sub_models="per_round")
    assert kept(mask_of(each, task, 1, 3, counts)) != kept(mask_of(each, task, 1, 4, counts))
    assert kept(mask_of(shared, task, 1, 3, counts)) == kept(mask_of(shared, task, 1, 4, counts))
    for method in (each, shared):
        assert kept(mask_of(method, task, 1, 3, counts)) == kept(mask_of(method, task, 1, 3, counts))
        assert kept(mask_of(method, task, 1, 3, counts)) != kept(mask_of(method, task, 2, 3, counts))


def test_narrower_levels_are_part_of_wider_ones_within_a_draw(task: Task) -> None:
    narrow, wide = (mask_of(FederatedDropout(), task, 1, 3, c) for c in ((1, 2, 4), (2, 4, 8)))
    assert all(set(a) < set(b) for a, b in zip(narrow.kept, wide.kept, strict=True))


def test_one_mask_for_all_that_an_identity_skip_adds() -> None:
    """A residual stage is one group, so its layers cannot keep different channels.

    FedRolex's official code for its random baseline draws the channels of a block's second convolution
    independently of the block's input, so that out += x adds different channels. Here whatever writes to
    or reads from the sum has the one draw in its coverage: what comes back for the block's second
    convolution, the stem and the normalisation behind it moved in the same rows.
    """
    played = play(
        1,
        clients_per_round=1,
        model={"name": "nets.TinyResNet"},
        local={"steps": 1, "lr": 0.5},
        profile={"name": "constant", "level": math.inf},
        method={"name": "federated_dropout", "keep": 0.5},
    )
    before, after = played.states
    moved = {}
    for name in ("stem.weight", "stem_bn.weight", "block1.conv2.weight", "block1.bn2.weight"):
        change = after.arrays[name] != before.arrays[name]
        moved[name] = change.reshape(len(change), -1).any(axis=1).tolist()
    assert sum(moved["stem.weight"]) == len(moved["stem.weight"]) // 2
    assert len({tuple(rows) for rows in moved.values()}) == 1


def test_levels_follow_the_capacity_and_bytes_the_level() -> None:
    """Capacities of 0.1 to 1 that do not change: the most expensive of five widths whose MACs for the
    client's examples are within capacity x 10 s; it computes just these MACs, and its parameters
    travel both ways.
    """
    played = play(
        2, profile={"name": "uniform", "low": 0.1, "high": 1.0}, method={"name": "federated_dropout"}
    )
    structure, task = played.task.structure, played.task
    sizes = {
        0.5**k: tuple(max(1, math.floor(0.5**k * g.channels)) for g in structure.groups) for k in range(5)
    }
    seen = set()
    for row in played.clients:
        budget = task.devices.capacity(row.client_id, 10.0 * (row.round - 1))(0.0) * task.deadline_s
        fitting = [
            c for c in sizes.values() if task.macs_per_example(c) * row.n_examples <= budget * (1 + 1e-9)
        ]
        best = max(fitting, key=task.macs_per_example)
        assert row.download_bytes == 4 * n_parameters(structure, best)
        seen.add(best)
        if row.status == "completed":
            assert row.macs == task.macs_per_example(best) * row.n_examples
            assert row.upload_bytes == row.download_bytes
    assert len(seen) >= 2


def test_who_fits_no_level_skips_the_round_without_a_download() -> None:
    method = {"name": "federated_dropout", "widths": [1.0]}
    rows = play(1, profile={"name": "constant", "level": 0.1}, method=method).clients
    assert {(r.status, r.macs, r.download_bytes, r.upload_bytes) for r in rows} == {("dropped", 0, 0, 0)}


def test_one_share_for_all_overruns_where_it_does_not_fit() -> None:
    """The paper's setting, in a world with deadlines: started, charged, and dropped or merged in part."""
    profile = {"name": "constant", "level": 0.2}
    world: dict[str, Any] = {"dataset": {"name": "digits"}, "partition": {"name": "iid"}, "profile": profile}
    method = {"name": "federated_dropout", "keep": 0.75}
    dropped = play(1, **world, method=method, overrun="drop").clients
    partial = play(1, **world, method=method).clients
    assert {r.status for r in dropped} == {"dropped"}
    assert {r.status for r in partial} == {"partial"}
    assert [r.macs for r in dropped] == [r.macs for r in partial]
    assert all(r.macs > 0 and r.download_bytes > 0 for r in dropped)
    assert all(r.upload_bytes == 0 for r in dropped)


@pytest.mark.parametrize(("average", "expected"), [("count", (2.0, 3.0)), ("zero_update", (2.0, 1.5))])
def test_golden_averages(task: Task, average: str, expected: tuple[float, float]) -> None:
    """All 0; A holds the first half of each group and returns 1, B holds all and returns 3.

    Where both hold: 2. Where B alone: 3 (count), (0 + 3) / 2 = 1.5 (zero_update). All clients count alike,
    and examples do not matter.
    """
    method = {"name": "federated_dropout", "average": average}
    experiment = whole_toy(method=method, merge={"weight": "clients"})
    initial = start(experiment, task).state
    state = State({k: np.zeros_like(v) for k, v in initial.arrays.items()})
    half = tuple(np.arange(g.channels)[None] < g.channels // 2 for g in task.structure.groups)

    def update(client_id: int, value: float, coverage: Any, n_examples: int) -> Update:
        facts = Facts(client_id, "completed", n_examples, 1, 1, 1, 1.0, 1.0, 1, 1, 1.0)
        arrays = {k: np.full_like(v, value) for k, v in state.arrays.items()}
        return Update(facts, arrays, Coverage(coverage, np.array([n_examples]), np.array([1])))

    updates = [update(0, 1.0, half, 50), update(1, 3.0, (None,) * 3, 7)]
    merged = experiment.method.merge(build(experiment), state, ROUND, iter(updates))
    merged = merged.arrays["conv2.conv.weight"]
    both, alone = expected
    assert (merged[:4, :2] == both).all()
    assert (merged[4:] == alone).all()
    assert (merged[:4, 2:] == alone).all()
