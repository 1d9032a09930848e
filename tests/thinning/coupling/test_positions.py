"""Positions are counted against the number of examples, wherever the examples lie in a tensor."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.thinning.cost import forward_macs, training_macs
from distreal_sim.thinning.coupling.groups import ThinningError, find_groups


class Tokens(nn.Module):
    """Tokens (n, T, c) laid into the batch for the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(10, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        n, _, c = x.shape
        return self.b(F.relu(self.a(x.reshape(-1, c))).view(n, -1, self.a.bias.shape[0]).mean(1))


class Frames(nn.Module):
    """Frames (n, T, c, h, w) laid into the batch for the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 4, 3, padding=1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(F.relu(self.a(x.flatten(0, 1)))).mean((2, 3))
        return self.out(y.view(x.shape[0], x.shape[1], -1).mean(1))


class TimeFirst(nn.Module):
    """Tokens before examples: (T, n, c), so that the first axis is no axis of examples at all."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(10, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x.transpose(0, 1))).mean(0))


class BatchMean(nn.Module):
    """A layer that reads the mean of all examples, and so runs once a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(10, 5), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        return (self.a(x) + self.b(x.mean(0, keepdim=True))).flatten(1)


@pytest.mark.parametrize(
    ("module", "shape", "forward"),
    [
        # 32 tokens x 10 x 16, and 16 x 5.
        (Tokens(), (32, 10), 32 * 160 + 80),
        # 3 frames: 36 positions x 9 x 2 x 6, as many x 9 x 6 x 4; 4 x 5.
        (Frames(), (3, 2, 8, 8), 3 * 36 * (108 + 216) + 20),
        (TimeFirst(), (32, 10), 32 * 160 + 80),
    ],
    ids=["tokens", "frames", "time first"],
)
def test_examples_are_not_always_on_the_first_axis(
    module: nn.Module, shape: tuple[int, ...], forward: int
) -> None:
    """By hand, and equal to torch's counter (two FLOPs a MAC) for 2 examples; backward too."""
    x = torch.randn(2, *shape)
    structure = find_groups(module, x)
    counts = structure.full_counts()
    assert forward_macs(structure, counts) == forward
    with FlopCounterMode(display=False) as counter:
        module(x).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * training_macs(structure, counts)


def test_a_layer_that_runs_once_a_batch_is_refused() -> None:
    """Its cost is that of a batch, however many examples that holds: 7 rows are no whole number for each of 2
    examples; 12 rows are, but they stay 12 with a third example.
    """
    with pytest.raises(ThinningError, match=r"module 'b' .* has 7 positions for 2 examples"):
        find_groups(BatchMean(), torch.zeros(2, 7, 10))
    with pytest.raises(ThinningError, match=r"module 'b' .* 12 positions for 2 examples and 12 for 3"):
        find_groups(BatchMean(), torch.zeros(2, 12, 10))


class OnGraph(nn.Module):
    """A graph's nodes (B, 6, 4) with an adjacency that is a buffer, or an attribute."""

    def __init__(self, adjacency: torch.Tensor, *, is_buffer: bool) -> None:
        super().__init__()
        if is_buffer:
            self.register_buffer("adjacency", adjacency)
        else:
            self.adjacency = adjacency
        self.hidden, self.out = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.hidden(x)).transpose(0, 1)
        mixed = torch.mm(self.adjacency, h.reshape(6, -1)).reshape(h.shape)
        return self.out(mixed.mean(0))


@pytest.mark.parametrize("is_buffer", [True, False])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
def test_a_sparse_tensor_is_refused(is_buffer: bool) -> None:
    """With its name, and what helps; the same network runs with a dense one."""
    expected = r"the model \(OnGraph\) cannot be simulated: its 'adjacency' is no dense tensor .*to_dense\(\)"
    for sparse in (torch.eye(6).to_sparse(), torch.eye(6).to_sparse_csr()):
        with pytest.raises(ThinningError, match=expected):
            find_groups(OnGraph(sparse, is_buffer=is_buffer), torch.zeros(2, 6, 4))
    find_groups(OnGraph(torch.eye(6), is_buffer=is_buffer), torch.zeros(2, 6, 4))
