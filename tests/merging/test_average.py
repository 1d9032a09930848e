"""The merge of updates that trained different parts of a network: derived by hand."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, Update
from distreal_sim.merging.average import Weight, weighted_average
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Structure


def facts(client_id: int, n_examples: int, n_steps: int) -> Facts:
    return Facts(client_id, "completed", n_examples, n_steps, n_steps, 1, 1.0, 1.0, 1, 1, 1.0)


def update(
    arrays: dict[str, np.ndarray],
    coverage: tuple[np.ndarray | None, ...],
    n_examples: int = 1,
    step_examples: tuple[int, ...] = (1,),
    client_id: int = 0,
    step_macs: tuple[int, ...] | None = None,
) -> Update:
    """step_macs: 1 each if not given."""
    of_client = facts(client_id, n_examples, len(step_examples))
    macs = np.ones(len(step_examples)) if step_macs is None else np.array(step_macs)
    return Update(of_client, arrays, Coverage(coverage, np.array(step_examples, np.int64), macs))


def steps(*kept: str) -> np.ndarray:
    """(n_steps, channels) bool from strings such as "110"."""
    return np.array([[c == "1" for c in row] for row in kept])


@pytest.fixture(scope="module")
def chain() -> Structure:
    """Linear 4 -> 4 -> 4 -> 2: two groups of 4, so that the second weight is cut on both axes."""
    layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    structure = find_groups(layers, torch.zeros(2, 4))
    assert [g.channels for g in structure.groups] == [4, 4]
    return structure


def full(structure: Structure, value: float) -> dict[str, np.ndarray]:
    return {n: np.full(structure.tensors[n].shape, value, np.float32) for n in structure.parameters}


def trained(structure: Structure, value: float, kept: str) -> dict[str, np.ndarray]:
    """Zeros, with `value` wherever both groups keep these channels."""
    k = np.array([c == "1" for c in kept], np.float32)
    arrays = {"0.weight": k[:, None] * np.ones(4), "0.bias": k, "2.weight": k[:, None] * k, "2.bias": k}
    arrays |= {"4.weight": np.ones((2, 1)) * k, "4.bias": np.ones(2)}
    return {name: (value * a).astype(np.float32) for name, a in arrays.items()}


def test_the_golden_4x4(chain: Structure) -> None:
    """v = 0; A trained the top left 2x2 to 1, B everything to 3 (weights 1): top left 2, the rest 3."""
    half = steps("1100")
    a, b = update(trained(chain, 1, "1100"), (half, half)), update(full(chain, 3), (None, None))
    merged = weighted_average(chain, full(chain, 0), iter([a, b]))
    expected = np.full((4, 4), 3.0)
    expected[:2, :2] = 2
    np.testing.assert_array_equal(merged["2.weight"], expected)
    np.testing.assert_array_equal(merged["0.weight"], [[2] * 4] * 2 + [[3] * 4] * 2)
    np.testing.assert_array_equal(merged["0.bias"], [2, 2, 3, 3])
    np.testing.assert_array_equal(merged["4.weight"], [[2, 2, 3, 3]] * 2)
    np.testing.assert_array_equal(merged["4.bias"], [2, 2])


def test_golden_count_and_zero_update(chain: Structure) -> None:
    """The same two clients with 30 and 10 examples, v = 0, by client. Averaged over those who hold a
    coordinate (COUNT): top left 2, the rest 3. With the others counting as unchanged (ZERO-UPDATE): top left
    2, the rest (0 + 3) / 2 = 1.5. From v = 1: (1 + 3) / 2 = 2 in both places.
    """
    half = steps("1100")
    for value, rest in ((0, 1.5), (1, 2.0)):
        a = update(trained(chain, 1, "1100"), (half, half), n_examples=30)
        b = update(full(chain, 3), (None, None), n_examples=10)
        old = full(chain, value)
        count = weighted_average(chain, old, iter([a, b]), "clients")["2.weight"]
        diluted = weighted_average(chain, old, iter([a, b]), "clients", dilute=True)["2.weight"]
        expected = np.full((4, 4), 3.0)
        expected[:2, :2] = 2
        np.testing.assert_array_equal(count, expected)
        expected[expected == 3] = rest
        np.testing.assert_array_equal(diluted, expected)


def test_a_grouped_convolution_of_the_input() -> None:
    """Two groups of two input channels, which stay, and three filters each, of which A kept two, value 1; B
    kept all, value 3. Filters that both kept become 2, the others 3.
    """
    layers = nn.Sequential(nn.Conv2d(4, 6, 1, groups=2), nn.Flatten(), nn.Linear(6, 2))
    structure = find_groups(layers, torch.zeros(2, 4, 1, 1))
    old = full(structure, 0.0)
    updates = [update(full(structure, 1.0), (steps("110011"),)), update(full(structure, 3.0), (None,))]
    new = weighted_average(structure, old, iter(updates))
    expected = np.array([2, 2, 3, 3, 2, 2], np.float32)
    np.testing.assert_array_equal(new["0.weight"], np.tile(expected[:, None, None, None], (1, 2, 1, 1)))
    np.testing.assert_array_equal(new["0.bias"], expected)


def test_damped_layers(chain: Structure) -> None:
    """4 of 10 clients return a tensor, all at 1, v = 0: 0.4 (1) + 0.6 (0) = 0.4, and where v = 2: 1.6. The
    other tensors, which nobody returns, keep their bytes.
    """
    for value, result in ((0, 0.4), (2, 1.6)):
        one = {"2.weight": np.ones((4, 4), np.float32)}
        updates = [update(one if c < 4 else {}, (None, None), client_id=c) for c in range(10)]
        old = full(chain, value)
        merged = weighted_average(chain, old, iter(updates), "clients", dilute=True)
        np.testing.assert_array_equal(merged["2.weight"], np.full((4, 4), result, np.float32))
        assert all(merged[n].tobytes() == old[n].tobytes() for n in old if n != "2.weight")
        undiluted = weighted_average(chain, old, iter(updates), "clients")
        np.testing.assert_array_equal(undiluted["2.weight"], np.ones((4, 4)))


def test_rows_of_the_classifier_by_label(chain: Structure) -> None:
    """A (at 1) has examples of class 0 only, B (at 3) of both; A keeps channels 0 and 1 of the last group.

    Row 0: (1 + 3) / 2 = 2 on channels 0 and 1, 3 on the others; row 1: B's 3. Bias 2 and 3. With A alone row
    1 keeps its bytes, bias included, and row 0 has A's value on its channels.
    """
    half = steps("1100")
    a = update(trained(chain, 1, "1100"), (half, half), client_id=0)
    b = update(full(chain, 3), (None, None), client_id=1)
    old = full(chain, 0.3)

    def labels(which: Update) -> np.ndarray | None:
        return np.array([True, False]) if which.facts.client_id == 0 else None

    merged = weighted_average(chain, old, iter([a, b]), "clients", outputs=labels)
    np.testing.assert_array_equal(merged["4.weight"], [[2, 2, 3, 3], [3, 3, 3, 3]])
    np.testing.assert_array_equal(merged["4.bias"], [2, 3])
    np.testing.assert_array_equal(merged["2.bias"], [2, 2, 3, 3])
    alone = weighted_average(chain, old, iter([a]), "clients", outputs=labels)
    assert alone["4.weight"][1].tobytes() == old["4.weight"][1].tobytes()
    assert alone["4.bias"][1].tobytes() == old["4.bias"][1].tobytes()
    np.testing.assert_array_equal(alone["4.weight"][0], np.float32([1, 1, 0.3, 0.3]))


def test_a_row_that_nobody_held_keeps_its_bytes(chain: Structure) -> None:
    """v = -0.0 and 0.3f; A holds the top left 2x2 at 1, B the upper left 3x3 at 3: top left 2, the rest of
    the 3x3 is 3, row and column 3 are v to the last bit, the sign of the zero included.
    """
    old = full(chain, 0.3)
    old["2.weight"][3] = -0.0
    updates = [
        update(trained(chain, 1, "1100"), (steps("1100"),) * 2),
        update(trained(chain, 3, "1110"), (steps("1110"),) * 2),
    ]
    merged = weighted_average(chain, old, iter(updates))["2.weight"]
    np.testing.assert_array_equal(merged[:3, :3], [[2, 2, 3], [2, 2, 3], [3, 3, 3]])
    assert merged[3].tobytes() == old["2.weight"][3].tobytes()
    assert merged[:3, 3].tobytes() == old["2.weight"][:3, 3].tobytes()
    assert merged.dtype == np.float32


def test_weights_are_examples(chain: Structure) -> None:
    """A (30 examples) trained 2x2 to 1, B (10) everything to 3: (30 * 1 + 10 * 3) / 40 = 1.5; the rest 3."""
    half = steps("1100")
    a = update(trained(chain, 1, "1100"), (half, half), n_examples=30, step_examples=(7,))
    b = update(full(chain, 3), (None, None), n_examples=10, step_examples=(1, 1))
    merged = weighted_average(chain, full(chain, 0), iter([a, b]))["2.weight"]
    np.testing.assert_array_equal(merged[:2, :2], np.full((2, 2), 1.5))
    np.testing.assert_array_equal(merged[2:], np.full((2, 4), 3.0))


def test_weights_are_trained_examples(chain: Structure) -> None:
    """Client A, three steps of 2, 3 and 5 examples; group 0 keeps channels 0 and 1 in all, group 1 channel 0
    in all and channel 1 in the last. The weight from 0 to 0 got 10 examples, the one to 1 got 5. B: one step
    of 10 examples of the full network. 0 -> 0: (10 * 1 + 10 * 3) / 20 = 2; 0 -> 1: (5 * 1 + 10 * 3) / 15 =
    7/3; elsewhere B's 3. The classifier's bias, trained in every step: 2.
    """
    coverage = (steps("1100", "1100", "1100"), steps("1000", "1000", "1100"))
    a = update(trained(chain, 1, "1100"), coverage, n_examples=99, step_examples=(2, 3, 5))
    b = update(full(chain, 3), (None, None), n_examples=1, step_examples=(10,))
    merged = weighted_average(chain, full(chain, 0), iter([a, b]), "trained_examples")
    third = np.float32(7 / 3)
    np.testing.assert_array_equal(
        merged["2.weight"], np.array([[2, 2, 3, 3], [third, third, 3, 3], [3] * 4, [3] * 4], np.float32)
    )
    np.testing.assert_array_equal(merged["0.bias"], [2, 2, 3, 3])
    np.testing.assert_array_equal(merged["2.bias"], np.array([2, third, 3, 3], np.float32))
    np.testing.assert_array_equal(merged["4.bias"], [2, 2])


def test_weights_are_macs(chain: Structure) -> None:
    """Client A as above, its steps of 6, 6 and 12 MACs: the weight from 0 to 0 was trained at 24 MACs, the
    one to 1 at 12. B: one step of 12 MACs of the full network. 0 -> 0: (24 * 1 + 12 * 3) / 36 = 5/3; 0 -> 1:
    (12 * 1 + 12 * 3) / 24 = 2; elsewhere B's 3. The classifier's bias, trained in every step: 5/3. What a
    client has of examples does not matter.
    """
    coverage = (steps("1100", "1100", "1100"), steps("1000", "1000", "1100"))
    a = update(trained(chain, 1, "1100"), coverage, 99, (2, 3, 5), step_macs=(6, 6, 12))
    b = update(full(chain, 3), (None, None), 1, (10,), step_macs=(12,))
    merged = weighted_average(chain, full(chain, 0), iter([a, b]), "macs")
    first = np.float32(5 / 3)
    np.testing.assert_array_equal(
        merged["2.weight"], np.array([[first, first, 3, 3], [2, 2, 3, 3], [3] * 4, [3] * 4], np.float32)
    )
    np.testing.assert_array_equal(merged["0.bias"], np.array([first, first, 3, 3], np.float32))
    np.testing.assert_array_equal(merged["2.bias"], np.array([first, 2, 3, 3], np.float32))
    np.testing.assert_array_equal(merged["4.bias"], [first, first])


def test_whole_updates_weigh_as_a_whole(chain: Structure) -> None:
    """A and B trained everything, to 0 and to 1: B's share is 3 of 4 by examples, 1 of 2 by clients, 8 of 10
    by examples trained (2 epochs of 1 against 8), 5 of 8 by MACs.
    """
    a = update(full(chain, 0), (None, None), 1, (1, 1), step_macs=(1, 2))
    b = update(full(chain, 1), (None, None), 3, (8,), step_macs=(5,))
    for weight, share in (("examples", 0.75), ("clients", 0.5), ("trained_examples", 0.8), ("macs", 0.625)):
        merged = weighted_average(chain, full(chain, 9), iter([a, b]), weight)
        assert all((array == np.float32(share)).all() for array in merged.values())


def test_kept_in_different_steps_is_not_trained_together(chain: Structure) -> None:
    """Input channel 0 in step 1, output channel 0 in step 2: the weight between them never had a gradient."""
    coverage = (steps("1000", "0100"), steps("0100", "1000"))
    arrays = full(chain, 5)
    merged = weighted_average(chain, full(chain, 0), iter([update(arrays, coverage, 1, (1, 1))]))["2.weight"]
    expected = np.zeros((4, 4))
    expected[1, 0] = expected[0, 1] = 5
    np.testing.assert_array_equal(merged, expected)


@pytest.mark.parametrize("weight", get_args(Weight))
def test_trained_by_one_is_that_clients_value_to_the_bit(chain: Structure, weight: Weight) -> None:
    """Values over 40 orders of magnitude, tiny ones beside a large server value and with large weights of
    others: where one client trained, its float32 comes back unchanged.
    """
    rng = np.random.default_rng(1)
    old = {n: (1e3 * rng.normal(size=a.shape)).astype(np.float32) for n, a in full(chain, 0).items()}
    own, other = (
        {
            n: (rng.normal(size=a.shape) * 10.0 ** rng.uniform(-35, 5, a.shape)).astype(np.float32)
            for n, a in old.items()
        }
        for _ in range(2)
    )
    updates = [
        update(own, (steps("1010"), steps("0110")), n_examples=7, step_examples=(7,)),
        update(other, (steps("0101"), steps("1001")), n_examples=9_999_991, step_examples=(9_999_991,)),
    ]
    merged = weighted_average(chain, old, iter(updates), weight)["2.weight"]
    for o in range(4):
        for i in range(4):
            mine, others = o in (1, 2) and i in (0, 2), o in (0, 3) and i in (1, 3)
            expected = (own if mine else other if others else old)["2.weight"][o, i]
            assert merged[o, i].tobytes() == expected.tobytes()


@pytest.mark.parametrize("weight", get_args(Weight))
def test_sums_are_float64(chain: Structure, weight: Weight) -> None:
    """2**24, 1 and 1 with weights 1: the mean is (2**24 + 2) / 3 = 5592406 exactly. In float32 2**24 + 1 is
    2**24, and the mean of the sums would be 5592405.3, which float32 rounds to 5592405.5.
    """
    updates = [update(full(chain, v), (None, None)) for v in (2.0**24, 1.0, 1.0)]
    merged = weighted_average(chain, full(chain, 0), iter(updates), weight)
    assert merged["0.bias"].tolist() == [5592406.0] * 4
    assert float((np.float32(2**24) + np.float32(1) + np.float32(1)) / np.float32(3)) == 5592405.5


def test_added_in_the_order_of_the_clients(chain: Structure) -> None:
    """1e17, 1 and -1e17 with weights 1 in float64: 1e17 + 1 = 1e17, so in this order the sum is 0 and the
    mean is 0; in the order 1e17, -1e17, 1 it is 1/3.
    """
    for order, mean in (((1e17, 1.0, -1e17), 0.0), ((1e17, -1e17, 1.0), 1 / 3)):
        arrays = [{n: a.astype(np.float64) for n, a in full(chain, 1).items()} for _ in order]
        updates = [
            update({n: v * a for n, a in b.items()}, (None, None)) for v, b in zip(order, arrays, strict=True)
        ]
        merged = weighted_average(chain, arrays[0], iter(updates))
        assert merged["4.weight"].tolist() == [[mean] * 4] * 2


@pytest.mark.parametrize("weight", get_args(Weight))
def test_no_update_changes_nothing(chain: Structure, weight: Weight) -> None:
    old = full(chain, 0.3)
    merged = weighted_average(chain, old, iter([]), weight)
    assert {n: a.tobytes() for n, a in merged.items()} == {n: a.tobytes() for n, a in old.items()}


@pytest.mark.parametrize("weight", get_args(Weight))
def test_inputs_may_be_read_only_and_stay_as_they_are(chain: Structure, weight: Weight) -> None:
    """Arrays that came through shared memory cannot be written."""
    old, a, b = full(chain, 0.5), trained(chain, 1, "1100"), full(chain, 3)
    for arrays in (old, a, b):
        for array in arrays.values():
            array.flags.writeable = False
    updates = [update(a, (steps("1100"),) * 2), update(b, (None, None))]
    merged = weighted_average(chain, old, iter(updates), weight)
    assert merged["2.weight"][0, 0] == 2
    assert b["2.weight"][0, 0] == 3


def test_updates_are_taken_one_at_a_time(chain: Structure) -> None:
    """The merge holds no update longer than it takes to add it, so memory does not grow with the cohort."""
    import weakref

    alive: list[weakref.ref[Update]] = []

    def stream():
        for value in range(5):
            item = update(full(chain, value), (None, None))
            assert sum(ref() is not None for ref in alive) <= 1
            alive.append(weakref.ref(item))
            yield item

    assert weighted_average(chain, full(chain, 0), stream())["0.bias"].tolist() == [2.0] * 4
