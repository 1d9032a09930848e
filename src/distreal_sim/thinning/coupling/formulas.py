"""Floating-point operations of torch's own operations that its flop counter does not know.

An operation that runs matrix products inside of its kernel costs what these do; one that compares vectors
costs a multiply-add for each pair of elements. Operations whose number of multiply-adds depends on the
algorithm, or on the values, are refused. Lookups, sums, elementwise operations, pooling and interpolation
cost nothing, as with torch's counter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import conv_flop_count

Shape = Sequence[int]


class UnknownCostError(Exception):
    """An operation whose cost is not known."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"it uses '{name}', whose number of multiply-adds is not known; compute that in the data set, or "
            "by matrix products"
        )


def formulas() -> dict[Any, Callable[..., int]]:
    """Formulas by operation, in the form that FlopCounterMode takes: of shapes in place of tensors."""
    aten = torch.ops.aten
    found: dict[Any, Callable[..., int]] = {
        aten.convolution_backward: _convolution_backward,
        aten.conv_tbc: _conv_tbc,
        **dict.fromkeys((aten.mv, aten.dot, aten.vdot), _of_first),
        **dict.fromkeys((aten.addmv, aten.addmv_), _of_second),
        **dict.fromkeys((aten.addmm_, aten._sparse_addmm, aten.addbmm, aten.addbmm_), _of_product),
        aten.baddbmm_: _of_product,
        aten._trilinear: _trilinear,
        aten.affine_grid_generator: _affine_grid,
        aten._euclidean_dist: _euclidean_distance,
        aten._cdist_forward: _distance,
        aten._cdist_backward: _distance_backward,
        aten._pdist_forward: _distance_of_rows,
        aten._pdist_backward: _distance_of_rows_backward,
    }
    found.update((getattr(aten, name), _unknown(name)) for name in _UNKNOWN)
    return found


_UNKNOWN = (
    *("linalg_inv_ex", "_linalg_solve_ex", "linalg_lu_solve", "linalg_solve_triangular", "cholesky_solve"),
    *("_linalg_det", "_linalg_slogdet", "linalg_lu", "linalg_lu_factor_ex", "linalg_ldl_factor_ex"),
    *("_linalg_svd", "_linalg_eigh", "linalg_eig", "_linalg_eigvals", "linalg_qr", "linalg_lstsq"),
    *("linalg_cholesky_ex", "cholesky", "cholesky_inverse", "triangular_solve", "linalg_pinv"),
    *("linalg_matrix_exp", "linalg_householder_product", "ormqr", "geqrf", "linalg_ldl_solve"),
    *("_fft_r2c", "_fft_c2r", "_fft_c2c"),
)


def _unknown(name: str) -> Callable[..., int]:
    def refuse(*args: Any, **kwargs: Any) -> int:
        raise UnknownCostError(name.removeprefix("_").removesuffix("_ex"))

    return refuse


def _convolution_backward(
    grad_shape: Any,
    x_shape: Any,
    w_shape: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Any,
    out_shape: Any = None,
) -> int:
    """Each gradient costs as much as the forward pass; torch's counter takes a grouped one's for dense."""
    n_gradients = int(output_mask[0]) + int(output_mask[1])
    return n_gradients * conv_flop_count(x_shape, w_shape, grad_shape, transposed=transposed)


def _conv_tbc(x: Shape, weight: Shape, bias: Shape, *args: Any, out_shape: Shape, **kwargs: Any) -> int:
    """Positions times the weight (k, in, out)."""
    return 2 * out_shape[0] * out_shape[1] * prod(weight)


def _of_first(matrix: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(matrix)


def _of_second(added: Shape, matrix: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(matrix)


def _of_product(added: Shape, a: Shape, b: Shape, *args: Any, **kwargs: Any) -> int:
    """A product of matrices, or of pairs of them, that is added to the first tensor."""
    return 2 * prod(a) * b[-1]


def _trilinear(
    a: Shape,
    b: Shape,
    c: Shape,
    expand_a: Sequence[int],
    expand_b: Sequence[int],
    expand_c: Sequence[int],
    summed: Sequence[int],
    unrolled: int = 1,
    **kwargs: Any,
) -> int:
    """The product of two tensors, summed over what the third does not have, and its product with the third.

    expand_a, expand_b, expand_c: axes that a tensor lacks.
    """
    full = [_expanded(shape, axes) for shape, axes in ((a, expand_a), (b, expand_b), (c, expand_c))]
    first = [max(sizes) for sizes in zip(full[0], full[1], strict=True)]
    left = [1 if d in summed and d in expand_c else size for d, size in enumerate(first)]
    second = [max(sizes) for sizes in zip(left, full[2], strict=True)]
    return 2 * (prod(first) + prod(second))


def _expanded(shape: Shape, axes: Sequence[int]) -> list[int]:
    sizes = iter(shape)
    return [1 if d in axes else next(sizes) for d in range(len(shape) + len(axes))]


def _affine_grid(theta: Shape, size: Sequence[int], *args: Any, **kwargs: Any) -> int:
    """(positions, d + 1) times (d + 1, d) for each example."""
    return 2 * prod(theta) * prod(size[2:])


def _euclidean_distance(a: Shape, b: Shape, **kwargs: Any) -> int:
    """A product of the vectors, each with two more numbers: its squared norm and 1."""
    return 2 * prod(a[:-1]) * b[-2] * (a[-1] + 2)


def _distance(a: Shape, b: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(a[:-1]) * b[-2] * a[-1]


def _distance_backward(grad: Shape, a: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(grad) * a[-1]


def _distance_of_rows(a: Shape, *args: Any, **kwargs: Any) -> int:
    return a[0] * (a[0] - 1) * a[1]


def _distance_of_rows_backward(grad: Shape, a: Shape, *args: Any, **kwargs: Any) -> int:
    return _distance_of_rows(a)
