"""FlexFL: the pool by silent neurons, adaptive local pruning, and the loss with teachers."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from rounds import round_of, updates_of
from torch import nn
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.client.client import Client, do
from distreal_sim.client.messages import Job
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.methods.flexfl import (
    FlexFL,
    counts_of,
    distillation,
    feature_parameters,
    pool_of,
    scores,
    written_parameters,
)
from distreal_sim.recipe.tasks.classification import Classification
from distreal_sim.submodels.zeros import zeros
from distreal_sim.thinning.cost import forward_macs, n_parameters
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Structure

FLAT = {"name": "flexfl", "apoz": [0, 0, 0]}
"""No silent neurons, so all layers have the same width."""


def test_scores() -> None:
    """1 - 0.5 x 3 / 5 = 0.7 and 1 - 0.9 x 5 / 5 = 0.1, for ln 1000 / ln 100000 = 3 / 5."""
    np.testing.assert_allclose(scores(np.array([0.5, 0.9]), [1000, 100_000]), [0.7, 0.1])


@cache
def vgg16() -> Structure:
    """VGG-16 with batch norm and two linear layers of 4,096 for 32x32 images, without values."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    n_in, number = 3, 0
    with torch.device("meta"):
        for block in ([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3):
            for n_out in block:
                layers[f"conv{number}"] = nn.Conv2d(n_in, n_out, 3, padding=1)
                layers |= {f"norm{number}": nn.BatchNorm2d(n_out), f"relu{number}": nn.ReLU()}
                n_in, number = n_out, number + 1
            layers[f"pool{number}"] = nn.MaxPool2d(2)
        layers |= {"flatten": nn.Flatten(), "fc1": nn.Linear(512, 4096), "r1": nn.ReLU()}
        layers |= {"fc2": nn.Linear(4096, 4096), "r2": nn.ReLU(), "out": nn.Linear(4096, 10)}
    network = nn.Sequential(layers).to_empty(device="cpu")
    with torch.no_grad():
        for value in [*network.parameters(), *network.buffers()]:
            value.zero_()
    return find_groups(network, torch.zeros(2, 3, 32, 32))


APOZ_9 = [
    0.5065, 0.5134, 0.6503, 0.6178, 0.6348, 0.5949, 0.5648, 0.6065, 0.6036, 0.5884, 0.5890, 0.8104, 0.9636,
    0.9940, 0.8051,
]  # fmt: skip
"""A list of the public code for VGG-16, rounded."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "tolerance", "g", "macs", "parameters"),
    [
        ("params", 0.05, [58, 41, 31, 15], [0.75, 0.92, 0.94, 0.99], [0.2935, 0.4469, 0.5379, 0.9253]),
        ("macs", "exact", [106, 84, 75, 49], [0.246, 0.393, 0.491, 0.899], [0.088, 0.140, 0.176, 0.397]),
    ],
)
def test_pools_of_vgg16(share: str, tolerance: Any, g: list[int], macs: Any, parameters: Any) -> None:
    """Computed once with plain numpy from the sizes of the layers and the list before it was rounded: by
    parameters the small members save few MACs.
    """
    structure = vgg16()
    full = structure.full_counts()
    assert n_parameters(structure, full) == 33_646_666
    assert feature_parameters(structure, full) == 33_605_696
    own = scores(np.array(APOZ_9), written_parameters(structure))
    size = forward_macs if share == "macs" else feature_parameters
    pool = pool_of(structure, own, FlexFL().shares, size, tolerance)
    assert pool == (*(counts_of(structure, own, number) for number in g), full)
    shares = [forward_macs(structure, counts) / forward_macs(structure, full) for counts in pool[:-1]]
    assert shares == pytest.approx(macs, abs=0.005 if share == "params" else 0.0005)
    shares = [feature_parameters(structure, counts) / 33_605_696 for counts in pool[:-1]]
    assert shares == pytest.approx(parameters, abs=0.0005)


class Silent(nn.Module):
    """Two channels and their sum with what comes before; every number is known."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.Linear(2, 3)
        with torch.no_grad():
            self.a.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
            self.b.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(2, 2, 1, 1))
            self.a.bias.zero_()
            self.b.bias.copy_(torch.tensor([-2.5, 1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(F.max_pool2d(F.relu(self.b(self.a(x).relu())), 2).flatten(1))


def test_zeros_are_counted_where_the_relu_has_them() -> None:
    """Pixels 1, 2, 3, 4: channels (1 2 3 4) and (0 0 0 0), half of them 0; then (0 0 .5 1.5) and (1 1 1 1), a
    quarter. After pooling there would be none.
    """
    network = Silent()
    structure = find_groups(network, torch.zeros(2, 1, 2, 2))
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2)
    assert zeros(network, structure, [x, x[[0, 0]]]).tolist() == [0.5, 0.25]


def test_the_pool_is_nested_and_measured_once() -> None:
    experiment = toy(method={"name": "flexfl"})
    task, again = build(experiment), build(experiment)
    pool = experiment.method.pool(task)
    assert pool == experiment.method.pool(again)
    assert pool[-1] == task.full
    assert all(a <= b for small, large in pairwise(pool) for a, b in zip(small, large, strict=True))
    sizes = [
        forward_macs(task.structure, counts) / forward_macs(task.structure, task.full) for counts in pool
    ]
    assert all(size <= share for size, share in zip(sizes, FlexFL().shares, strict=True))


def job_of(task: Task, client_id: int, number: int = 1) -> tuple[Client, Job]:
    now = round_of([], number, (number - 1) * task.deadline_s)
    return Client(task, client_id, now), Job(client_id, now, {})


def test_what_a_client_is_sent_and_what_it_costs() -> None:
    """By lot 0, 2 or 4; down as sent, up as trained; 3 F of the member (2 F in the first layer) and F of all
    smaller ones.
    """
    experiment = toy(method=FLAT, profile={"name": "constant", "level": math.inf})
    task, method = build(experiment), experiment.method
    sent = [method.sent(task, job_of(task, c, n)[1]) for c in range(12) for n in range(1, 26)]
    counts = np.bincount(sent, minlength=5)
    assert counts[[1, 3]].tolist() == [0, 0]
    assert all(abs(n - 100) <= 5 * math.sqrt(300 * 2 / 9) for n in counts[[0, 2, 4]])
    pool, structure = method.pool(task), task.structure
    level = method.member(task, 1, 4)
    assert level.traffic.download_bytes == 4 * n_parameters(structure, task.full)
    assert level.traffic.upload_bytes == 4 * n_parameters(structure, pool[1])
    assert level.macs_per_example == task.macs_per_example(pool[1]) + forward_macs(structure, pool[0])
    assert method.member(task, 0, 0).macs_per_example == task.macs_per_example(pool[0])


def test_dispatch_by_number() -> None:
    """100 clients, of whom the first 40 are weak, then 30 medium and 30 strong: the whole network goes to
    clients 14 to 99, so to weak ones in 26 of 86 cases, and to one of these with the odds 1/86 of 1/100 +
    1/96 + 1/86.

    With the published law of resources weak clients train member 0 of it, medium ones of 0.6 - |N| members 2,
    1 and 0 where that is at least 0.5, 0.4 or less, and strong ones of 1.1 - |N| members 4, 3 and 2. |N| <=
    0.1 has the probability 0.8086, and more than 0.2 0.0193, the mean over the sigmas 0.05, 0.08 and 0.1. So
    members 0 to 4 are trained by 0.309, 0.060, 0.289, 0.060 and 0.282. Tolerances are 5 standard errors.
    """
    fleet = {"partition": {"name": "bootstrap", "examples": 4}, "n_clients": 100}
    experiment = toy(method={**FLAT, "dispatch": "by_number"}, **fleet)
    task, method = build(experiment), experiment.method
    ids, rounds = range(100), range(1, 61)
    sent = np.array([[method.sent(task, Job(c, round_of([], n), {})) for n in rounds] for c in ids])
    assert set(sent[:4].ravel()) == {0}
    assert set(sent[4:14].ravel()) == {0, 2}
    assert set(sent[14:].ravel()) == {0, 2, 4}

    def near(found: np.ndarray, share: float) -> bool:
        return bool(abs(found.mean() - share) <= 5 * math.sqrt(share * (1 - share) / found.size))

    assert near(sent[14:] == 4, (1 / 86) / (1 / 100 + 1 / 96 + 1 / 86))
    rng = np.random.default_rng(1)
    means = np.repeat([0.35, 0.6, 1.1], [40, 30, 30])[:, None]
    sigmas = rng.choice([0.05, 0.08, 0.1], sent.shape)
    allowed = np.digitize(means - np.abs(rng.normal(0, sigmas)), [0.4, 0.5, 0.9, 1.0])
    whole = sent == 4
    assert near((means < 0.5)[:, 0].repeat(len(rounds)).reshape(sent.shape)[whole], 26 / 86)
    trained = np.minimum(sent, allowed)[whole]
    for member, share in enumerate([0.309, 0.060, 0.289, 0.060, 0.282]):
        assert near(trained == member, share), member


def test_adaptive_local_pruning() -> None:
    """The largest member that fits, up to the one that was sent; the smallest one whatever the capacity."""
    experiment = toy(method=FLAT, profile={"name": "tiers", "levels": [0.01, 0.45, 0.6, 2.0]})
    task, method = build(experiment), experiment.method
    seen = set()
    for client_id in range(12):
        for number in (1, 2, 3, 4):
            client, job = job_of(task, client_id, number)
            sent = method.sent(task, job)
            costs = [method.member(task, i, sent).macs_per_example for i in range(sent + 1)]
            budget = client.capacity(0.0) * task.deadline_s * (1 + 1e-9)
            fits = [i for i, cost in enumerate(costs) if cost * len(client.examples) <= budget]
            index, level = method._trained(client, job)
            assert index == max(fits, default=0)
            assert level.macs_per_example == costs[index]
            seen.add((sent, index))
    assert {(4, 4), (4, 0), (2, 2), (2, 0), (0, 0)} <= seen
    assert seen & {(4, 3), (4, 2), (4, 1), (2, 1)}


def test_the_published_law_of_resources() -> None:
    """Levels 1.1 - |N(0, 0.2)|, without teachers: a strong client can train everything where |N| <= 0.1,
    erf(0.1 / (0.2 sqrt 2)) = 0.3829 of the time.

    Medium ones, 0.6 - |N|: member 2 where |N| <= 0.6 - t, with t its share of the MACs. Weak ones, at most
    0.35, never train it. Tolerances are 5 standard errors of at least 150 draws.
    """
    profile = {"name": "uncertain", "unit": "relative_own", "sigmas": [0.2]}
    experiment = toy(method={**FLAT, "kd_gamma": 0, "dispatch": "largest"}, profile=profile, n_clients=30)
    task, method = build(experiment), experiment.method
    found: dict[str, list[int]] = {"strong": [], "medium": [], "weak": []}
    for client_id in range(30):
        jobs = [job_of(task, client_id, number) for number in range(1, 31)]
        highest = max(client.capacity(0.0) for client, _ in jobs) / own_level_1(task, client_id)
        name = "weak" if highest <= 0.35 else "medium" if highest <= 0.6 else "strong"
        found[name] += [method._trained(client, job)[0] for client, job in jobs]
    strong, medium, weak = (np.array(found[name]) for name in ("strong", "medium", "weak"))
    assert min(len(strong), len(medium), len(weak)) >= 150

    def error(share: float, n: int) -> float:
        return 5 * math.sqrt(share * (1 - share) / n)

    assert abs((strong == 4).mean() - 0.3829) <= error(0.3829, len(strong))
    full = task.macs_per_example(task.full)
    threshold = task.macs_per_example(method.pool(task)[2]) / full
    expected = math.erf((0.6 - threshold) / (0.2 * math.sqrt(2)))
    assert 0.05 < expected < 0.95
    assert abs((medium >= 2).mean() - expected) <= error(expected, len(medium))
    assert weak.max() < 2


def own_level_1(task: Task, client_id: int) -> float:
    """MAC/s with which a client trains the whole network on its own examples in a round."""
    return task.macs_per_example(task.full) * len(task.split[client_id]) / task.deadline_s


def test_without_teachers_and_silence_it_is_heterofl() -> None:
    """The same widths, everybody sent everything, and capacities that some member fits: the same bytes."""
    common: dict[str, Any] = {"profile": {"name": "tiers", "levels": [0.3, 0.6, 2.0]}, "seed": 3}
    shares = (0.105, 0.305, 1.0)
    flex = toy(method={**FLAT, "kd_gamma": 0, "dispatch": "largest", "shares": shares}, **common)
    task, state, ours = updates_of(flex)
    assert flex.method.pool(task) == ((1, 2, 4), (2, 4, 8), (4, 8, 16))
    hetero = toy(method={"name": "heterofl", "widths": [1, 0.5, 0.25], "mask_labels": False}, **common)
    _, _, theirs = updates_of(hetero)
    assert len({update.facts.macs // update.facts.n_examples for update in theirs}) > 1
    for one, other in zip(ours, theirs, strict=True):
        assert one.facts.upload_bytes == other.facts.upload_bytes > 0
        assert one.facts.macs == other.facts.macs
        assert all(one.arrays[name].tobytes() == other.arrays[name].tobytes() for name in other.arrays)
    merged = [
        m.method.merge(task, state, round_of(range(8)), iter(u)) for m, u in ((flex, ours), (hetero, theirs))
    ]
    assert all(merged[0].arrays[n].tobytes() == merged[1].arrays[n].tobytes() for n in state.arrays)


def test_the_lesson() -> None:
    """T^2 sum p ln(p / q), p and q the softmax at T = 2 of (2 ln 3, 0) and (0, 0): (3/4, 1/4) and (1/2, 1/2).

    4 (3/4 ln(3/2) + 1/4 ln(1/2)) = 0.5232. Teachers get no gradient; equal outputs teach nothing.
    """
    outputs = torch.zeros(1, 2, requires_grad=True)
    teacher = torch.tensor([[2 * math.log(3), 0.0]], requires_grad=True)
    lesson = distillation(Classification(), outputs, [teacher.detach()], torch.tensor([0]), 2.0)
    assert lesson.item() == pytest.approx(4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)))
    mean = distillation(
        Classification(), outputs, [teacher.detach(), outputs.detach()], torch.tensor([0]), 2.0
    )
    assert mean.item() == pytest.approx(lesson.item() / 2)
    mean.backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    np.testing.assert_allclose(outputs.grad.numpy(), [[-0.25, 0.25]], rtol=1e-6)  # T (q - p) / 2


def test_teachers_change_the_larger_members_only() -> None:
    """Member 0 has no teacher: its update is that without self-distillation, bit for bit; others are not."""
    common: dict[str, Any] = {"profile": {"name": "constant", "level": math.inf}}
    tasks = [build(toy(method={**FLAT, "kd_gamma": gamma}, **common)) for gamma in (0, 10)]
    methods = [toy(method={**FLAT, "kd_gamma": gamma}, **common).method for gamma in (0, 10)]
    arrays = tasks[0].engine.export()
    same: dict[int, set[bool]] = {}
    for client_id in range(8):
        job = Job(client_id, round_of([client_id]), arrays)
        ours = [do(task, method, job).arrays for task, method in zip(tasks, methods, strict=True)]
        equal = all(ours[0][name].tobytes() == ours[1][name].tobytes() for name in arrays)
        same.setdefault(methods[0].sent(tasks[0], job), set()).add(equal)
    assert same == {0: {True}, 2: {False}, 4: {False}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": [0.5, 0.25, 1.0]}, r"shares \[0.5, 0.25, 1.0\] must ascend to 1"),
        ({"shares": [0.25, 0.5]}, "must ascend to 1, the whole network"),
    ],
)
def test_impossible_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FlexFL.model_validate(options)


def test_a_wrong_number_of_shares_of_zeros() -> None:
    experiment = toy(method={"name": "flexfl", "apoz": [0.5]})
    with pytest.raises(
        InputError, match=r"method.apoz has 1 number, and the model has 3 coupling groups: conv1"
    ):
        experiment.method.pool(build(experiment))
