"""The widest sub-network that was trained so far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rounds import updates_of
from toys import toy

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, State, Update
from distreal_sim.submodels.prefixes import WIDEST, growing, merge_prefixes, widest_trained
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.masks import first_mask
from distreal_sim.thinning.structure import kept_elements


def test_the_widest_part_of_earlier_rounds_is_remembered() -> None:
    """Widths by rounds and clients: (2, 4, 8); nobody; (3, 1, 2). Widest: (2, 4, 8), as before, (3, 4, 8).

    State without updates and with narrower ones keeps what it had, group by group.
    """
    task, state, _ = updates_of(toy(method={"name": "heterofl"}), n_clients=1)
    full = task.structure.full_counts()
    assert all(n >= w for n, w in zip(full, (3, 4, 8), strict=True))

    def update(*counts: int) -> Update:
        kept = tuple(np.arange(n)[None] < k for n, k in zip(full, counts, strict=True))
        facts = Facts(0, "completed", 1, 1, 1, 1, 1.0, 1.0, 1, 1, 1.0)
        return Update(facts, {}, Coverage(kept, np.ones(1, np.int64), np.ones(1, np.int64)))

    for updates, expected in (
        ([update(2, 4, 8)], [2, 4, 8]),
        ([], [2, 4, 8]),
        ([update(3, 1, 2)], [3, 4, 8]),
    ):
        before = state

        def merge(seen, before=before) -> State:
            list(seen)
            return State(before.arrays, before.extras)

        state = growing(task.structure, state, iter(updates), merge)
        assert state.extras[WIDEST].tolist() == expected


def test_the_widest_is_known_from_the_first_update_on() -> None:
    assert widest_trained(State({})) is None
    assert widest_trained(State({}, {WIDEST: np.array([3, 4, 8])})) == SubModel((3, 4, 8))


def test_nothing_is_the_widest_before_anybody_trained() -> None:
    task, state, _ = updates_of(toy(method={"name": "heterofl"}), n_clients=1)
    merged = growing(task.structure, state, iter([]), lambda seen: State(state.arrays, {"other": np.ones(1)}))
    assert merged.extras.keys() == {"other"}


def test_prefixes_are_averaged_over_who_trained_them() -> None:
    """Old 0. A: half the channels, 100 examples, all of it 1; B: three quarters, 300 examples, all of it 3.

    In the half (100 * 1 + 300 * 3) / 400 = 2.5, in the rest of the three quarters 3, beyond them 0.
    """
    task, state, made = updates_of(toy(method={"name": "heterofl"}), n_clients=2)
    old = State({name: np.zeros_like(array) for name, array in state.arrays.items()})
    half, wider = (2, 4, 8), (3, 6, 12)
    updates = []
    for update, counts, n, value in ((made[0], half, 100, 1), (made[1], wider, 300, 3)):
        masks = [first_mask(task.structure, counts)]
        coverage = Coverage.of(task.structure, masks, np.array([n]), np.array([1]))
        arrays = {name: np.full_like(array, value) for name, array in state.arrays.items()}
        facts = replace(update.facts, status="completed", n_examples=n)
        updates.append(replace(update, facts=facts, arrays=arrays, coverage=coverage))
    merged = merge_prefixes(task, old, iter(updates))
    assert widest_trained(merged) == SubModel(wider)
    for name, array in merged.arrays.items():
        expected = np.zeros(array.shape)
        for counts, value in ((wider, 3), (half, 2.5)):
            index = kept_elements(task.structure.tensors[name], first_mask(task.structure, counts).kept)
            expected[index] = value
        np.testing.assert_allclose(array, expected, rtol=1e-7, err_msg=name)
