"""SLT: steps, their costs and the rounds in which they change, by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from rounds import Played, play
from toys import toy

from distreal_sim.client.train import Traffic
from distreal_sim.config.build import build
from distreal_sim.methods.slt import last_rounds, levels_of, steps_of
from distreal_sim.submodels.submodel import SubModel


def task_of(model: str) -> Any:
    return build(toy(method={"name": "slt"}, model={"name": model}))


def played(level: float, **options: Any) -> Played:
    """Four rounds, one for each step of small_cnn, with equal clients."""
    return play(
        4,
        method={"name": "slt", **options},
        partition={"name": "iid"},
        profile={"name": "constant", "level": level},
    )


def per_example(run: Played) -> list[set[float]]:
    """MACs per example of the clients of each round."""
    return [{r.macs / r.n_examples for r in run.clients if r.round == number} for number in (1, 2, 3, 4)]


def test_steps() -> None:
    """small_cnn of width 4, hidden groups of 4, 8 and 16; at a quarter 1, 2 and 4. The classifier has no
    hidden outputs, so that no step is its own.
    """
    task = build(toy(method={"name": "slt"}))
    steps = steps_of(task, 0.25)
    assert [step.counts for step in steps] == [(1, 2, 4), (4, 2, 4), (4, 8, 4), (4, 8, 16)]
    everything = set(task.structure.parameters)
    frozen = [[everything - names for names in step.trained] for step in steps]
    first = {"conv1.conv.weight", "conv1.norm.weight", "conv1.norm.bias"}
    second = {"conv2.conv.weight", "conv2.norm.weight", "conv2.norm.bias"}
    assert frozen == [[set()], [set()], [first, set()], [first | second, first, set()]]


def test_costs() -> None:
    """Step 2, widths (4, 8, 4): layers of 9*4*64 = 2304, 9*32*16 = 4608, 9*32*4 = 1152 and 40 MACs.

    Depth 1: forward 8104, weights of all but the first layer 5800, inputs of those behind the second 1192.
    Depth 2: the first layer's weight and the second's input on top. Down 44 + 304 + 296 + 50 parameters, up
    without the frozen 44. In the last step depth 3 is the full network.
    """
    task = build(toy(method={"name": "slt"}))
    step = steps_of(task, 0.25)[2]
    one, two = levels_of(task, step.counts, step.trained)
    assert one.macs_per_example == 8104 + 5800 + 1192
    assert two.macs_per_example == one.macs_per_example + 2304 + 4608
    assert two.macs_per_example == task.macs_per_example(step.counts)
    assert (one.traffic, two.traffic) == (Traffic(4 * 694, 4 * 650), Traffic(4 * 694, 4 * 694))
    last = steps_of(task, 0.25)[3]
    costs = [level.macs_per_example for level in levels_of(task, last.counts, last.trained)]
    assert costs == [11680 + 4608 + 160 + 160, 11680 + 2 * (4608 + 160) + 4608, 3 * 11680 - 2304]


def test_switching_points() -> None:
    """Steps of 250, 650 and 1354 parameters, 2254 in all: of 100 rounds 25 for step 0, and of the 75 others
    75 * 250 / 2254 = 8.3, 75 * 900 / 2254 = 29.9 and all are over after steps 1, 2 and 3; rounded down. Of 4
    rounds each step has one, although 3 * 250 / 2254 = 0.3; with 3 there is no step 0.
    """
    sizes = [250, 650, 1354]
    assert last_rounds(sizes, 0.25, 100) == [25, 33, 54, 100]
    assert last_rounds(sizes, 0.25, 20) == [5, 6, 10, 20]
    assert last_rounds(sizes, 0.25, 4) == [1, 2, 3, 4]
    assert last_rounds([1], 0.29, 100) == [29, 100], "0.29 * 100 is 28.999999999999996"
    assert last_rounds(sizes, 0.25, 3) == [0, 1, 2, 3]
    assert last_rounds([], 1.0, 7) == [7]


@pytest.mark.parametrize(
    "model",
    [
        "nets.TinyChain", "nets.TinyResNet", "nets.TinyDenseNet", "nets.TinyMobileNet", "nets.NormFirst",
        "preresnet", "resnet20",
    ],
)  # fmt: skip
def test_nothing_is_frozen_before_it_was_trained_whole(model: str) -> None:
    """What a step freezes was trained at full width in one before it; the last step has the full width."""
    task = task_of(model)
    structure, full = task.structure, task.structure.full_counts()
    steps = steps_of(task, 0.25)
    whole: set[str] = set()
    for before, step in pairwise(steps):
        kept = before.counts
        whole |= {
            name
            for name in before.trained[0]
            if all(kept[g] == full[g] for g in structure.tensors[name].cut_groups)
        }
        assert set(structure.parameters) - step.trained[0] <= whole
        assert all(a <= b for a, b in zip(kept, step.counts, strict=True))
        assert step.trained[-1] == set(structure.parameters)
    assert steps[-1].counts == full


def test_what_a_step_does_not_train_rests() -> None:
    """Capacity 0.6 of the full network's 32736 MACs: depth 1 in every step (0.09, 0.28, 0.46, 0.51), no more
    (0.67, 0.79). Round n + 1 is step n.
    """
    run = played(0.6)
    assert per_example(run) == [{3000}, {9048}, {15096}, {16608}]
    conv1, conv2, out = (
        [state.arrays[f"{name}.weight"] for state in run.states]
        for name in ("conv1.conv", "conv2.conv", "linear")
    )
    assert (conv1[1][:1] != conv1[0][:1]).any()
    assert conv1[1][1:].tobytes() == conv1[0][1:].tobytes()
    assert (conv1[2][1:] != conv1[0][1:]).any()
    assert conv1[4].tobytes() == conv1[3].tobytes() == conv1[2].tobytes()
    # In step 1 the second layer reads all channels of the first, and writes two.
    assert (conv2[2][:2, 1:] != conv2[0][:2, 1:]).any()
    assert conv2[2][2:].tobytes() == conv2[0][2:].tobytes()
    assert (conv2[3][2:] != conv2[0][2:]).any()
    assert conv2[4].tobytes() == conv2[3].tobytes()
    assert out[3][:, 4:].tobytes() == out[0][:, 4:].tobytes()
    assert (out[4][:, 4:] != out[0][:, 4:]).any()
    method = toy(method={"name": "slt"}).method
    widest = [method.widest(run.task, state) for state in run.states]
    assert widest == [None, *map(SubModel, [(1, 2, 4), (4, 2, 4), (4, 8, 4), (4, 8, 16)])]


def test_strong_clients_freeze_nothing_unless_told() -> None:
    assert per_example(played(math.inf)) == [{3000}, {9048}, {22008}, {32736}]
    assert per_example(played(math.inf, depth=2)) == [{3000}, {9048}, {22008}, {25824}]


def test_a_client_too_weak_for_the_step_skips() -> None:
    """0.4 is enough for steps 0 and 1."""
    run = played(0.4)
    assert per_example(run) == [{3000}, {9048}, {0}, {0}]
    late = {(r.status, r.download_bytes) for r in run.clients if r.round > 2}
    assert late == {("dropped", 0)}
