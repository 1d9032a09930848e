"""Step-normalised averages: FedNova's numbers, derived ones for thinned updates, and the plain mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rounds import ROUND, play, updates_of
from torch import nn
from toys import toy

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, Update
from distreal_sim.merging.average import weighted_average
from distreal_sim.merging.normalised import accumulated, step_normalised_average
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Structure


class LastAxis(nn.Module):
    """A position embedding (1, T, C) and a norm over (T, C), both cut on their last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Conv1d(1, 2, 2, stride=2), nn.Parameter(torch.zeros(1, 3, 2))
        self.norm, self.out = nn.LayerNorm([3, 2]), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.embed(x).transpose(1, 2) + self.position).relu().mean(1))


@pytest.fixture(scope="module")
def chain() -> Structure:
    """Two hidden units between two inputs and two outputs; one coupling group."""
    return find_groups(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), torch.zeros(2, 2))


def update(
    structure: Structure, n_examples: int, value: float, steps: list[list[bool]] | int, old: float = 0.0
) -> Update:
    """A client whose parameters all come back as `value`; steps: the hidden units that each step kept."""
    kept = None if isinstance(steps, int) else np.array(steps)
    n_steps = steps if isinstance(steps, int) else len(steps)
    facts = Facts(0, "completed", n_examples, n_steps, n_steps, 1, 1.0, 1.0, 1, 1, 0.0)
    arrays = {n: np.full(structure.tensors[n].shape, value, np.float32) for n in structure.parameters}
    return Update(facts, arrays, Coverage((kept,), np.full(n_steps, 1), np.full(n_steps, n_steps)))


def zeros(structure: Structure) -> dict[str, np.ndarray]:
    return {n: np.zeros(structure.tensors[n].shape, np.float32) for n in structure.parameters}


def test_steps_add_up_with_momentum() -> None:
    """Momentum 0.5: 1; 1 + 1.5; 1 + 1.5 + 1.75. Without: the number of steps. Nobody: 0."""
    np.testing.assert_allclose(accumulated(np.arange(4.0), 0.5), [0, 1, 2.5, 4.25], rtol=1e-15)
    np.testing.assert_array_equal(accumulated(np.arange(4.0), 0.0), [0, 1, 2, 3])


def test_fednovas_numbers(chain: Structure) -> None:
    """Equal examples, 2 and 4 steps, w = 0, w_1 = -0.2, w_2 = -0.8: tau_eff = 3, mean of the changes per
    step (-0.1 - 0.2) / 2 = -0.15, so w = -0.45; FedAvg has -0.5.
    """
    clients = [update(chain, 10, -0.2, 2), update(chain, 10, -0.8, 4)]
    merged = step_normalised_average(chain, zeros(chain), iter(clients))
    for name, array in merged.items():
        np.testing.assert_allclose(array, -0.45, rtol=1e-6, err_msg=name)


def test_each_coordinate_by_its_own_steps(chain: Structure) -> None:
    """A (10 examples) returns 1 and trained unit 0 in 1 of 2 steps and unit 1 in both; B (30) returns 6 and
    trained unit 0 in its 3 steps and unit 1 never.

    Unit 0: p = 1/4, 3/4; a = 1, 3: tau_eff = 1/4 + 9/4 = 2.5, changes per step 1/4 * 1 + 3/4 * 2 = 1.75, so
    4.375. Unit 1: A alone, 1. Output biases, trained in all steps: a = 2, 3: tau_eff = 0.5 + 2.25 = 2.75,
    changes per step 1/4 * 0.5 + 3/4 * 2 = 1.625, so 4.46875. Plain means: 4.75, 1 and 4.75.
    """
    a = update(chain, 10, 1.0, [[True, True], [False, True]])
    b = update(chain, 30, 6.0, [[True, False]] * 3)
    merged = step_normalised_average(chain, zeros(chain), iter([a, b]))
    np.testing.assert_allclose(merged["0.weight"], [[4.375, 4.375], [1, 1]], rtol=1e-6)
    np.testing.assert_allclose(merged["0.bias"], [4.375, 1], rtol=1e-6)
    np.testing.assert_allclose(merged["1.weight"], [[4.375, 1], [4.375, 1]], rtol=1e-6)
    np.testing.assert_allclose(merged["1.bias"], 4.46875, rtol=1e-6)
    # With momentum 0.5 unit 0 has a = 1, 4.25: tau_eff 3.4375, changes per step 1/4 + 3/4 * 6/4.25.
    merged = step_normalised_average(chain, zeros(chain), iter([a, b]), momentum=0.5)
    np.testing.assert_allclose(merged["0.bias"], [3.4375 * (0.25 + 0.75 * 6 / 4.25), 1], rtol=1e-6)


def test_coordinates_whose_channels_lie_on_a_later_axis() -> None:
    """The two clients above, on position[0, :, c] and on weight and bias of the norm: channel 0 becomes 4.375
    and channel 1, that A alone trained, 1; as `embed.bias`, whose channels lie on its first axis.
    """
    structure = find_groups(LastAxis(), torch.zeros(2, 1, 6))
    a = update(structure, 10, 1.0, [[True, True], [False, True]])
    b = update(structure, 30, 6.0, [[True, False]] * 3)
    merged = step_normalised_average(structure, zeros(structure), iter([a, b]))
    np.testing.assert_allclose(merged["embed.bias"], [4.375, 1], rtol=1e-6)
    np.testing.assert_allclose(merged["position"], [[[4.375, 1]] * 3], rtol=1e-6)
    np.testing.assert_allclose(merged["norm.weight"], [[4.375, 1]] * 3, rtol=1e-6)
    np.testing.assert_allclose(merged["norm.bias"], [[4.375, 1]] * 3, rtol=1e-6)


def test_other_weights(chain: Structure) -> None:
    """A: 10 examples, 1 step of 1 MAC, back with 1; B: 30 examples, 3 steps of 1 example and 3 MACs, back
    with 6; so changes per step of 1 and 2. Clients: tau_eff 2, mean 1.5: 3. Trained examples: p = 1/4, 3/4:
    2.5 * 1.75 = 4.375. MACs: p = 1/10, 9/10: 2.8 * 1.9 = 5.32. Unit 1, which A drops, is B's alone.
    """
    clients = [update(chain, 10, 1.0, 1), update(chain, 30, 6.0, 3)]
    for weight, expected in (("clients", 3.0), ("trained_examples", 4.375), ("macs", 5.32)):
        merged = step_normalised_average(chain, zeros(chain), iter(clients), weight)
        np.testing.assert_allclose(merged["0.bias"], expected, rtol=1e-6)
        thinned = [update(chain, 10, 1.0, [[True, False]]), update(chain, 30, 6.0, [[True, True]] * 3)]
        merged = step_normalised_average(chain, zeros(chain), iter(thinned), weight)
        np.testing.assert_allclose(merged["0.bias"], [expected, 6.0], rtol=1e-6)


def test_untrained_keeps_its_bytes_and_equal_steps_give_the_plain_mean(chain: Structure) -> None:
    """Unit 1 is nobody's and holds -0.0; where both trained twice the result is the weighted mean, 1e-6."""
    old = {n: np.full_like(a, -0.0) for n, a in zeros(chain).items()}
    clients = [update(chain, n, v, [[True, False]] * 2) for n, v in ((10, 1.0), (30, 6.0))]
    merged = step_normalised_average(chain, old, iter(clients), momentum=0.9)
    plain = weighted_average(chain, old, iter(clients))
    for name, array in merged.items():
        np.testing.assert_allclose(array, plain[name], rtol=1e-6)
    assert merged["0.weight"][1].tobytes() == old["0.weight"][1].tobytes()
    assert merged["1.weight"][:, 1].tobytes() == old["1.weight"][:, 1].tobytes()
    assert merged["0.weight"].dtype == np.float32
    nobody = step_normalised_average(chain, old, iter(()))
    assert all(nobody[n].tobytes() == a.tobytes() for n, a in old.items())


def test_a_thinned_round_against_a_plain_loop() -> None:
    """Twenty coordinates of each parameter of a round with momentum, one at a time; 1e-6."""
    experiment = toy(method={"name": "distreal", "step_normalised": True})
    task, state, updates = updates_of(experiment)
    counting = [u for u in updates if u.is_merged]
    merged = experiment.method.merge(task, state, ROUND, iter(counting)).arrays
    momentum = task.local.momentum
    rng = np.random.default_rng(3)
    for name, layout in task.structure.tensors.items():
        if name not in merged:
            continue
        owners = [np.concatenate([np.full(s.inner * s.size, s.group) for s in axis]) for axis in layout.axes]
        channel = [
            np.concatenate([np.repeat(np.arange(s.size), s.inner) for s in axis]) for axis in layout.axes
        ]
        for _ in range(20):
            at = tuple(int(rng.integers(n)) for n in layout.shape)
            total = norm = weight = 0.0
            for u in counting:
                kept = np.ones(u.n_steps, bool)
                for dim in range(len(layout.axes)):
                    group = owners[dim][at[dim]]
                    if group >= 0 and u.coverage.kept[group] is not None:
                        kept &= u.coverage.kept[group][:, channel[dim][at[dim]]]
                if not kept.any():
                    continue
                a = sum((1 - momentum**k) / (1 - momentum) for k in range(1, int(kept.sum()) + 1))
                n = u.facts.n_examples
                total += n * (float(u.arrays[name][at]) - float(state.arrays[name][at])) / a
                norm, weight = norm + n * a, weight + n
            change = norm / weight * total / weight if weight else 0.0
            np.testing.assert_allclose(merged[name][at], state.arrays[name][at] + change, rtol=0, atol=1e-6)


def test_the_option_changes_the_merge_only() -> None:
    plain = play(1, method={"name": "distreal"})
    normalised = play(1, method={"name": "distreal", "step_normalised": True})
    assert repr(plain.clients) == repr(normalised.clients)
    assert plain.model != normalised.model
