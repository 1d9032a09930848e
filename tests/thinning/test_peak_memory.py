"""Peak memory in closed form: by hand, and beside torch's own tracker for every bundled network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bundled import inputs_of, options_for, plugin
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.models import Model
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.peak_memory import TrainingStep, peak_memory_of, with_fakes
from distreal_sim.thinning.shrink import shrink
from distreal_sim.thinning.structure import Counts, Structure

LABEL = torch.zeros(1, dtype=torch.int64)

Optimizer = Callable[[Any], torch.optim.Optimizer]


def tracked(module: nn.Module, x: Tensor, n_examples: int, optimizer: Optimizer) -> int:
    """Bytes at the peak of two steps of an optimizer of torch's, by torch's MemTracker."""
    from torch.distributed._tools.mem_tracker import MemTracker  # takes seconds

    mode = FakeTensorMode()
    with_fakes(module, mode)
    with mode:
        inputs = torch.zeros(n_examples, *x.shape[1:], dtype=x.dtype)
        labels = torch.zeros(n_examples, dtype=torch.int64)
        rule = optimizer(module.parameters())
        tracker = MemTracker()
        tracker.track_external(module, rule, inputs, labels)
        with tracker:
            for _ in range(2):
                F.cross_entropy(module(inputs), labels).backward()
                rule.step()
                rule.zero_grad(set_to_none=True)
                tracker.reset_mod_stats()
    (found,) = tracker.get_tracker_snapshot("peak").values()
    return int(found["Total"])


def random_counts(structure: Structure, rng: np.random.Generator) -> Counts:
    return tuple(g.blocks * int(rng.integers(1, g.channels // g.blocks + 1)) for g in structure.groups)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-3, foreach=False)


def near_the_tracker(module: nn.Module, x: Tensor, n_vectors: int, seed: int = 0) -> None:
    """The formula within 5 % of the tracker at random vectors and batch sizes."""
    structure, rng = find_groups(module, torch.cat([x, x])), np.random.default_rng(seed)
    peak = peak_memory_of(module, structure, TrainingStep(x, LABEL, n_states=1, weight_decay=True))
    for _ in range(n_vectors):
        counts, n_examples = random_counts(structure, rng), int(rng.integers(2, 33))
        seen = tracked(shrink(module, structure, counts), x, n_examples, sgd)
        assert peak(counts, n_examples) == pytest.approx(seen, rel=0.05)


def test_by_hand() -> None:
    """Linear 8 -> H, ReLU, Linear H -> 2, float32, SGD without momentum: P = 8 H + H + 2 H + 2 parameters.

    With one example the peak is at the end of the backward pass, where all parameters have gradients: 2
    P, and the 8 inputs, in floats, the label of 8 bytes, and at most 3 H + 8 floats of activations and
    scores. With 1,000 examples activations decide: at least the inputs and what the ReLU gives and gets
    back, and at most three tensors of H and of 2 an example besides parameters, inputs and labels.
    """
    module = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
    structure = find_groups(module, torch.zeros(2, 8))
    peak = peak_memory_of(module, structure, TrainingStep(torch.zeros(1, 8), LABEL))
    for hidden in (64, 17):
        parameters = 11 * hidden + 2
        low = 4 * (2 * parameters + 8) + 8
        assert low <= peak((hidden,), 1) <= low + 4 * (3 * hidden + 8)
    n = 1000
    assert 4 * n * (8 + 2 * 64) <= peak((64,), n) <= 4 * n * (8 + 3 * 64 + 3 * 2) + 8 * n + 8 * 4 * 706


def of(name: str, n_vectors: int, seed: int) -> None:
    """A bundled network for the first kind of inputs that it takes."""
    inputs = inputs_of(name)
    torch.manual_seed(0)
    module = inputs.build(plugin(Model, name, options_for(name)), 10)
    near_the_tracker(module, inputs.examples(1), n_vectors, seed)


@pytest.mark.parametrize("name", ["small_cnn", "logistic"])
def test_beside_the_tracker(name: str) -> None:
    """Two vectors each; the slow test has all networks."""
    of(name, 2, seed=0)


def test_of_norms_and_grouped_convolutions() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, groups=12),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 20, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(80, 10),
    )
    near_the_tracker(module, torch.zeros(1, 3, 10, 10), 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", names(Model))
def test_of_every_bundled_network(name: str) -> None:
    of(name, 6, seed=1)


def test_states_of_the_optimizer() -> None:
    """Adam keeps two tensors a parameter, one more than SGD with momentum: the peak where all gradients are
    there grows by the parameters, and equals the tracker's to 5 %.
    """
    module = nn.Sequential(nn.Linear(50, 400), nn.ReLU(), nn.Linear(400, 10))
    structure, x = find_groups(module, torch.zeros(2, 50)), torch.zeros(1, 50)
    one, two = (peak_memory_of(module, structure, TrainingStep(x, LABEL, n_states=n)) for n in (1, 2))
    assert two((400,), 2) - one((400,), 2) == 4 * (50 * 400 + 400 + 400 * 10 + 10)
    seen = tracked(
        shrink(module, structure, (150,)),
        x,
        64,
        lambda own: torch.optim.Adam(own, foreach=False, fused=False),
    )
    assert two((150,), 64) == pytest.approx(seen, rel=0.05)


class Padded(nn.Module):
    """Pads its inputs, or not, by the width of its layer: other operations at another width."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.one(x))
        if hidden.shape[1] < 16:
            hidden = hidden * 2
        outputs: Tensor = self.two(hidden)
        return outputs


def test_other_operations_at_another_width() -> None:
    module = Padded()
    structure = find_groups(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)), torch.zeros(2, 8))
    places = {"one": 0, "two": 2}
    tensors = {
        f"{name}.{kind}": structure.tensors[f"{place}.{kind}"]
        for name, place in places.items()
        for kind in ("weight", "bias")
    }
    own = dataclasses.replace(structure, tensors=tensors, scaled={})
    with pytest.raises(InputError, match="what it allocates depends on its width"):
        peak_memory_of(module, own, TrainingStep(torch.zeros(1, 8), LABEL))
