"""What a network keeps whole: its cost by hand, its share, and what methods say of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from distreal_sim.base.errors import InputError
from distreal_sim.config.checks import check_parts
from distreal_sim.inspection.network import left_whole
from distreal_sim.methods.cocofl import CoCoFL
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.methods.heterofl import HeteroFL
from distreal_sim.thinning.cost import forward_macs, partial_macs, training_macs
from distreal_sim.thinning.coupling.groups import find_groups


class Reads(nn.Module):
    """A recurrent layer of 4 units over 5 steps of 3 numbers, projected to 2, and a hidden layer of 6."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.rnn = nn.LSTM(3, 4, batch_first=True, proj_size=2)
        self.hidden, self.out = nn.Linear(2, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(self.rnn(self.first(x))[0][:, -1]).relu())


def test_cost_of_a_recurrent_layer_with_a_projection() -> None:
    """4 gates x 4 units x (3 inputs + 2 outputs fed back) + 2 x 4 of the projection, in each of 5 steps: 440.

    Backward: the gradient of each weight costs as much, 440; that of the input 5 x 4 x 4 x 3 = 240; those of
    the state fed back, none in the first step, and of the projected units 4 x 4 x 4 x 2 + 5 x 2 x 4 = 168.
    """
    structure = find_groups(Reads(), torch.zeros(2, 5, 2))
    (product,) = structure.products
    assert (product.module, product.operation) == ("rnn", "lstm")
    assert product.forward_macs == 5 * (4 * 4 * (3 + 2) + 2 * 4) == 440
    assert product.both_macs == 440 + 5 * 4 * 4 * 3 + 4 * 4 * 4 * 2 + 5 * 2 * 4 == 848
    assert product.weight_macs == 848 - 240
    assert product.input_macs == 848 - 440


def test_cost_of_a_step_that_trains_a_part() -> None:
    """Layers outside: first 2 x 3 at 5 places, hidden 2 x 6, out 6 x 3: 60 MACs forward.

    Training the output alone costs its weight gradient, 18, more; training `hidden` and `out` 12 + 18 + 18
    more, as the gradient of the input of `out` is needed. Training `first` needs the gradients of all inputs
    but its own: 408 of the recurrent layer without weights, of hidden and out 12 + 18, and 30 of its weight.
    """
    structure = find_groups(Reads(), torch.zeros(2, 5, 2))
    counts = structure.full_counts()
    forward = 440 + 60
    assert forward_macs(structure, counts) == forward
    assert partial_macs(structure, counts, ["out.weight"]) == forward + 18
    assert partial_macs(structure, counts, ["hidden.weight", "out.weight"]) == forward + 12 + 18 + 18
    assert partial_macs(structure, counts, ["first.weight"]) == forward + 408 + 12 + 18 + 30
    assert partial_macs(structure, counts, structure.parameters) == training_macs(structure, counts)
    run = ["first.weight", "rnn.weight_ih_l0"]
    assert partial_macs(structure, counts, ["first.weight"], run) == 30 + 440 + 30 + 408


def test_the_rest_is_thinned_and_the_share_is_said() -> None:
    """`hidden` is a group; the recurrent layer and, as it reads it whole, `first` are not.

    Of 440 + 60 + 848 + 60 + 30 MACs (no gradient of the input, that of the inputs of hidden and out 12 + 18),
    1288 + 60 are in `rnn` and in `first`.
    """
    structure = find_groups(Reads(), torch.zeros(2, 5, 2))
    assert [(group.name, group.channels) for group in structure.groups] == [("hidden", 6)]
    (whole,) = structure.whole
    assert whole.module == "module 'rnn' (LSTM)"
    assert training_macs(structure, structure.full_counts()) == 440 + 60 + 848 + 60 + 30
    assert whole.macs == 1288 + 60
    (line,) = left_whole(structure)
    assert line.startswith(
        "module 'rnn' (LSTM), 94 % of the MACs, because no rule covers a projection of the hidden units"
    )


class Scripted(nn.Module):
    """Nothing of it can be watched after the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return _twice(self.layer(x))


@torch.jit.script
def _twice(x: Tensor) -> Tensor:
    return x * 2


def test_methods_that_thin_nothing_take_any_network() -> None:
    """12 MACs forward, 12 for the gradient of the weight; what thins or trains parts says why it cannot."""
    structure = find_groups(Scripted(), torch.zeros(2, 3))
    assert training_macs(structure, ()) == 24
    check_parts(FedAvg(), "own", structure)
    with pytest.raises(
        InputError, match=r"heterofl thins a network, and nothing of model own can be thinned"
    ):
        check_parts(HeteroFL(), "own", structure)
    with pytest.raises(InputError, match=r"cocofl trains parts of a network, and .*cannot be watched"):
        check_parts(CoCoFL(), "own", structure)
