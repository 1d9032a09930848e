"""FedEL: windows by hand, what they cost, and that they slide on the server's side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rounds import play
from toys import toy
from worlds import played, world

from distreal_sim.config.build import build
from distreal_sim.methods.fedel import AGES, FRONTS, MOVED, OWN
from distreal_sim.submodels.importance import LayerCost, chosen_in_window
from distreal_sim.submodels.windows import (
    covering,
    front_after,
    n_blocks,
    net_layers,
    window_from,
    windows,
)
from distreal_sim.thinning.cost import sizes

UNLIMITED = {"name": "constant", "level": math.inf}


def cost(first: int, last: int) -> int:
    """MACs of a window of equal blocks of one layer of 1 MAC, with free exits: forward of all up to the last,
    the weight gradients of the window, and input gradients of all of it but its first block.
    """
    return (last + 1) + (last - first + 1) + (last - first)


def slid(budget: int, n_rounds: int, slide: Any = "jump") -> list[tuple[int, int]]:
    """The windows, counted from 1, of a client with that many MACs a round; 4 blocks."""
    found, front = [], 0
    for _ in range(n_rounds):
        window = window_from(front, 4, lambda first, last: cost(first, last) <= budget)
        assert window is not None
        found.append((window[0] + 1, window[1] + 1))
        front = front_after(window, 4, slide)
    return found


def test_windows_of_four_blocks() -> None:
    """Budget 5: (1, 2) costs 2 + 2 + 1, (3, 3) 3 + 1, (4, 4) 4 + 1. Budget 11 is the whole network. With
    budget 4 the forward pass to block 4 alone takes all, so the window rolls back: block 4 is never trained.
    """
    assert slid(5, 4) == [(1, 2), (3, 3), (4, 4), (1, 2)]
    assert [cost(0, 1), cost(2, 2), cost(3, 3), cost(0, 3)] == [5, 4, 5, 11]
    assert slid(11, 2) == [(1, 4), (1, 4)]
    assert slid(4, 4) == [(1, 1), (2, 2), (3, 3), (1, 1)]
    assert slid(5, 5, "step") == [(1, 2), (2, 2), (3, 3), (4, 4), (1, 2)]
    assert window_from(2, 4, lambda first, last: False) is None


def covered(budget: int, n_rounds: int, importance: list[float]) -> list[tuple[int, int, list[int]]]:
    """The windows with `cover` and their trained blocks, all counted from 1."""
    blocks = [LayerCost(f"w{k}", (f"w{k}",), 1, 1) for k in range(4)]
    found, front = [], 0
    for _ in range(n_rounds):

        def choose(first: int, last: int) -> tuple[int, int, list[int]] | None:
            inside, values = blocks[first : last + 1], importance[first : last + 1]
            chosen = chosen_in_window(inside, 0, values, budget - (last + 1))
            return (first, last, [first + k + 1 for k in chosen]) if chosen else None

        window = covering(front, 4, lambda first, last: cost(first, last) >= budget, choose)
        assert window is not None
        found.append((window[0] + 1, window[1] + 1, window[2]))
        front = front_after(window[:2], 4, "jump")
    return found


@pytest.mark.parametrize("worth", [1.0, 1000.0])
def test_windows_that_cover_the_time(worth: float) -> None:
    """Budget 5: (1, 2) costs 5 and is trained. (3, 3) would cost 4, so (3, 4) covers the time; its forward
    pass takes 4, and 1 is left for block 4. Then the window rolls back, and block 3 starves, whatever it is
    worth. Budget 4: (1, 2) covers it, 2 are left, of which block 2 takes 1; blocks 1 and 2 need 3. (3, 3)
    takes all 4, and block 4 is never trained, since the forward pass to it takes all that there is.
    """
    importance = [1.0, 1.0, worth, 1.0]
    assert covered(5, 3, importance) == [(1, 2, [1, 2]), (3, 4, [4]), (1, 2, [1, 2])]
    assert covered(11, 2, importance) == [(1, 4, [1, 2, 3, 4])] * 2
    assert covered(4, 3, importance) == [(1, 2, [2]), (3, 3, [3]), (1, 2, [2])]


@pytest.mark.parametrize("budget", range(5, 12))
def test_no_block_starves(budget: int) -> None:
    """Where each block alone fits, each is trained once in any four rounds."""
    trained = {block for first, last in slid(budget, 4) for block in range(first, last + 1)}
    assert trained == {1, 2, 3, 4}


def test_costs_of_a_network() -> None:
    """small_cnn of width 4 on 8x8 digits: forward MACs of its convolutions 2,304, 4,608 and 4,608, and of its
    exits 4 x 10, 8 x 10 and 16 x 10. Window (1, 1): 2,304 + 4,608 forward and 80 of the exit, 4,608 + 80 for
    weights, 80 for the exit's input. Window (0, 1): 2,304 + 4,608 more, for the gradients of the first weight
    and of the second input.
    """
    task = build(toy(method={"name": "fedel"}))
    known = windows(task)
    assert n_blocks(known) == 3
    assert len(known) == 6
    middle = 2304 + 4608 + 80 + 4608 + 80 + 80
    assert known[1, 1].level.macs_per_example == middle
    assert known[0, 1].level.macs_per_example == middle + 2304 + 4608
    network = toy(method={"name": "fedavg"})
    assert known[0, 2].level.macs_per_example == build(network).macs_per_example(build(network).full)
    level = known[1, 1].level
    assert level.trained is not None
    assert {name.split(".")[1] for name in level.trained} == {"conv2", "1"}
    assert level.traffic.upload_bytes == 4 * sum(sizes(task.structure, task.full, level.trained))
    below = [name for name in task.structure.parameters if ".conv1." in name]
    assert level.traffic.download_bytes - level.traffic.upload_bytes == 4 * sum(
        sizes(task.structure, task.full, below)
    )


def test_full_capacity_is_fedavg() -> None:
    """The window is the whole network in every round; its arrays are FedAvg's, and no exit moves."""
    changes: dict[str, Any] = {"profile": UNLIMITED}
    ours, theirs = (play(2, method={"name": name}, **changes) for name in ("fedel", "fedavg"))
    assert {f"network.{name}": value for name, value in theirs.model.items()}.items() <= ours.model.items()
    assert [r.macs for r in ours.clients] == [r.macs for r in theirs.clients]
    first = ours.states[0].arrays
    exits = [name for name in first if name.startswith("exits.")]
    assert exits
    assert all(ours.states[-1].arrays[name].tobytes() == first[name].tobytes() for name in exits)


def test_the_window_slides_and_what_is_not_trained_keeps_its_bytes() -> None:
    """One client that can afford a half of the network: its fronts are what the windows before say."""
    run = play(
        4,
        method={"name": "fedel"},
        profile={"name": "constant", "level": 0.5},
        n_clients=1,
        clients_per_round=1,
        partition={"name": "iid"},
    )
    seen = [(int(r.metrics["first_block"]), int(r.metrics["last_block"])) for r in run.clients]
    fronts = [int(state.extras[FRONTS][0]) for state in run.states]
    assert fronts == [0, *(front_after(window, 3, "jump") for window in seen)]
    assert len(set(seen)) > 1
    assert all(first in (front, 0) for front, (first, _) in zip(fronts[:-1], seen, strict=True))
    known = windows(run.task)
    for window, before, after in zip(seen, run.states[:-1], run.states[1:], strict=True):
        trained = set(known[window].level.trained or ())
        for name, array in before.arrays.items():
            assert (after.arrays[name].tobytes() == array.tobytes()) == (name not in trained), name


def test_without_training_and_without_rounds_the_windows_are_the_same() -> None:
    """Time does not depend on the arithmetic: the clock alone slides as training does, under events too."""
    changes: dict[str, Any] = {
        "method": {"name": "fedel"},
        "model": {"name": "small_cnn", "width": 4},
        "profile": {"name": "worlds.Speeds", "of": [0.35, 0.5, 0.9]},
    }
    chosen = world([1, 2, 4], {"name": "fedbuff", "buffer": 2}, **changes)
    trained, timed = played(chosen, trained=True), played(chosen)
    columns = [
        [
            (r.client_id, r.metrics["start_s"], r.metrics["first_block"], r.metrics["last_block"])
            for r in run.clients
        ]
        for run in (trained, timed)
    ]
    np.testing.assert_array_equal(columns[0], columns[1])
    assert len({(first, last) for _, _, first, last in columns[0]}) > 2


def test_the_most_important_layers_of_a_window() -> None:
    """One client with 0.52 of the time of the whole network, 17,023 of its 32,736 MACs; costs as above.

    Window (0, 1) would take 18,672. Its forward pass and its exit take 7,072, and of what is left the first
    layer would take 2,304 + 4,608 + 80 and the second one 4,608 + 80; both do not fit, and the second one has
    more MACs. Then (2, 2) takes 16,608 and fits, and so on. The rest keeps its bytes, no round takes longer,
    and the server knows the squared changes over lr and the ages.
    """
    run = play(
        6,
        method={"name": "fedel", "window": "cover", "age": True},
        model={"name": "small_cnn", "width": 4},
        profile={"name": "constant", "level": 0.52},
        n_clients=1,
        clients_per_round=1,
        partition={"name": "iid"},
        local={"epochs": 1, "batch_size": 16, "lr": 0.1},
    )
    layers, known = net_layers(run.task), windows(run.task)
    assert len(layers) == 3
    own, ages = np.full(3, np.nan), np.zeros(3, np.int64)
    subsets = []
    for row, before, after in zip(run.clients, run.states[:-1], run.states[1:], strict=True):
        assert row.status == "completed"
        assert row.sim_s <= 10 * (1 + 1e-9)
        window = int(row.metrics["first_block"]), int(row.metrics["last_block"])
        moved = {n for n, a in before.arrays.items() if after.arrays[n].tobytes() != a.tobytes()}
        assert moved <= set(known[window].level.trained or ())
        trained = np.array([not moved.isdisjoint(layer.names) for layer in layers])
        subsets.append(tuple(trained.tolist()))
        change = [
            sum(np.square(after.arrays[n].astype(float) - before.arrays[n]).sum() for n in layer.names) / 0.1
            for layer in layers
        ]
        own, ages = np.where(trained, change, own), np.where(trained, 0, ages + 1)
        np.testing.assert_allclose(after.extras[OWN], [own])
        np.testing.assert_allclose(after.extras[MOVED], change)
        np.testing.assert_array_equal(after.extras[AGES], [ages])
    assert subsets[:2] == [(False, True, False), (False, False, True)]
    assert [row.macs // row.n_examples for row in run.clients[:2]] == [7072 + 4608 + 80, 16608]


def test_with_time_for_everything_both_rules_are_the_same() -> None:
    cover, fit = (
        play(2, method={"name": "fedel", "window": window}, profile=UNLIMITED) for window in ("cover", "fit")
    )
    assert cover.model == fit.model
