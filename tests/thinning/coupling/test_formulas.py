"""Products in operations that torch's flop counter does not know are counted or refused, never free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.thinning.cost import forward_macs, training_macs
from distreal_sim.thinning.coupling.counting import flops_of
from distreal_sim.thinning.coupling.groups import ThinningError, find_groups


def draw(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, requires_grad=True)


A, B, SQUARES = draw(4, 8), draw(8, 5), draw(4, 6, 6)
THETA, BILINEAR, ROWS = (
    draw(2, 2, 3),
    (draw(4, 8), draw(4, 5), draw(3, 8, 5)),
    (draw(2, 30, 8), draw(2, 7, 8)),
)
WITH_NORMS = draw(2, 30, 10), draw(2, 7, 10)

TWINS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "affine_grid": (
        lambda: F.affine_grid(THETA, [2, 1, 7, 5], align_corners=False),
        lambda: torch.ones(2, 35, 3, dtype=torch.float64) @ THETA.mT,
    ),
    "bilinear": (
        lambda: F.bilinear(*BILINEAR),
        lambda: torch.einsum(
            "noj,nj->no", torch.einsum("ni,oij->noj", BILINEAR[0], BILINEAR[2]), BILINEAR[1]
        ),
    ),
    "mv": (lambda: A @ B[:, 0], lambda: A @ B[:, :1]),
    "dot": (lambda: torch.dot(A[0], A[1]), lambda: A[:1] @ A[1:2].T),
    "addmv": (lambda: torch.addmv(A[:, 0], A, B[:, 0]), lambda: A @ B[:, :1]),
    "addbmm": (lambda: torch.addbmm(SQUARES[0], SQUARES, SQUARES), lambda: SQUARES @ SQUARES),
    "addmm_": (lambda: torch.zeros_like(A @ B).addmm_(A, B), lambda: (A @ B, A @ B)),
    "cdist": (lambda: torch.cdist(*ROWS), lambda: WITH_NORMS[0] @ WITH_NORMS[1].mT),
    "cdist of few": (lambda: torch.cdist(ROWS[0][:, :5], ROWS[1]), lambda: ROWS[0][:, :5] @ ROWS[1].mT),
    "conv_tbc": (
        lambda: torch.conv_tbc(SQUARES, SQUARES[:3, :, :5].contiguous(), A[0, :5]),
        lambda: F.conv1d(SQUARES.permute(1, 2, 0), SQUARES[:3, :, :5].permute(2, 1, 0)),
    ),
}  # fmt: skip
"""An operation, and the products that it runs."""


@pytest.mark.parametrize("name", TWINS)
def test_an_operation_costs_what_the_products_in_it_cost(name: str) -> None:
    """Each by torch's counter, which finds nothing in the operation itself."""
    operation, products = TWINS[name]
    with FlopCounterMode(display=False) as counter:
        products()
    with FlopCounterMode(display=False) as silent:
        operation()
    assert flops_of(operation) == counter.get_total_flops() > silent.get_total_flops()


class Transformer(nn.Module):
    """A spatial transformer: an affine map of its own for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.where, self.out = nn.Linear(48, 6), nn.Linear(48, 3)

    def forward(self, x: Tensor) -> Tensor:
        theta = self.where(x.flatten(1)).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return self.out(F.grid_sample(x, grid, align_corners=False).flatten(1))


class Does(nn.Module):
    """A linear layer 6 -> 9, an operation, and a linear layer of its results."""

    def __init__(self, operation: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.operation, self.first, self.out = operation, nn.Linear(6, 9), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.operation(self.first(x)))


def test_the_grid_of_a_spatial_transformer_is_charged() -> None:
    """48 x 6 + 48 x 3, and 16 positions of 3 x 2. In training the gradients of both weights, of both inputs
    (but for the image), and of the map: 288 + 144 + 144 + 96.
    """
    structure = find_groups(Transformer(), torch.zeros(2, 3, 4, 4))
    assert forward_macs(structure, structure.full_counts()) == 288 + 144 + 96
    assert training_macs(structure, structure.full_counts()) == 528 + 288 + 144 + 144 + 96


def test_a_bilinear_layer_is_charged() -> None:
    """8 inputs, 5 others, 3 outputs: 3 x 8 x 5 products with the first, and 3 x 5 with the second."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Bilinear(8, 5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x[:, :8], x[:, 8:])

    structure = find_groups(Two(), torch.zeros(2, 13))
    assert forward_macs(structure, ()) == 120 + 15
    assert structure.whole[0].module == "module 'layer' (Bilinear)"


@pytest.mark.parametrize(
    ("operation", "width", "macs"),
    [
        (lambda x: x @ torch.ones(9), 1, 9),
        (lambda x: F.linear(x, torch.ones(9)), 1, 9),
        (lambda x: torch.mm(x.detach(), torch.ones(9, 4), out=torch.empty(len(x), 4)), 4, 36),
        (lambda x: torch.cdist(x, torch.ones(4, 9)), 4, 36),
    ],
    ids=["matrix and vector", "linear with a vector", "out", "cdist"],
)
def test_no_product_is_free(operation: Callable[[Tensor], Tensor], width: int, macs: int) -> None:
    """6 x 9, the operation's products, and three for each of its results."""

    def columns(x: Tensor) -> Tensor:
        return operation(x).reshape(len(x), -1)

    structure = find_groups(Does(columns, width), torch.zeros(2, 6))
    assert forward_macs(structure, structure.full_counts()) == 54 + macs + 3 * width


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: torch.linalg.inv(x.view(-1, 3, 3) + 9 * torch.eye(3)).flatten(1), "linalg_inv"),
        (lambda x: torch.fft.fft(x).abs(), "fft_r2c"),
        (lambda x: torch.linalg.svdvals(x.view(-1, 3, 3)).repeat(1, 3), "linalg_svd"),
    ],
    ids=["inverse", "Fourier transform", "singular values"],
)
def test_what_nobody_counts_is_refused(operation: Callable[[Tensor], Tensor], name: str) -> None:
    with pytest.raises(
        ThinningError, match=rf"the model \(Does\) cannot be simulated: it uses '{name}', whose"
    ):
        find_groups(Does(operation, 9), torch.zeros(2, 6))
