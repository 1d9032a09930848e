"""Pieces that several networks share: checks of the input and layer + norm + ReLU."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal

from torch import nn

from distreal_sim.base.errors import InputError

Norm = Literal["none", "batch"]
"""Normalisation of networks published without one; with `batch` the layers before it lose their bias."""


def check_input(model: str, shape: tuple[int, ...], n_outputs: int, min_side: int) -> tuple[int, int, int]:
    """`shape` as (C, H, W), once it is one that `model` can take.

    Raises InputError unless there are three positive sizes, H and W at least `min_side` pixels, and an
    output.
    """
    if len(shape) != 3 or min(shape) < 1 or min(shape[1:]) < min_side:
        raise InputError(
            f"model '{model}' cannot take inputs of shape {tuple(shape)}; allowed are "
            f"(channels, height, width) with channels >= 1, height >= {min_side} and width >= {min_side}"
        )
    _check_outputs(model, n_outputs)
    return shape[0], shape[1], shape[2]


def check_tokens(
    model: str, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None
) -> tuple[int, int]:
    """(L, vocabulary), once `shape` is that of a text.

    Raises InputError for other inputs, or no output.
    """
    if vocabulary is None:
        raise InputError(
            f"model '{model}' cannot take inputs of shape {tuple(shape)} that are no tokens; allowed are "
            "texts, such as those of data set text"
        )
    if len(shape) != 1 or shape[0] < 1:
        raise InputError(
            f"model '{model}' cannot take inputs of shape {tuple(shape)}; allowed are (length,) of tokens "
            "with length >= 1"
        )
    _check_outputs(model, n_outputs)
    return shape[0], vocabulary


def check_series(
    model: str, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None
) -> tuple[int, int]:
    """(C, L), once `shape` is that of a series. Raises InputError for other inputs, or no output."""
    if vocabulary is not None or len(shape) != 2 or min(shape) < 1:
        kind = "" if vocabulary is None else " of tokens"
        raise InputError(
            f"model '{model}' cannot take inputs of shape {tuple(shape)}{kind}; allowed are (channels, "
            "length) with channels >= 1 and length >= 1"
        )
    _check_outputs(model, n_outputs)
    return shape[0], shape[1]


def check_numbers(model: str, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None) -> int:
    """How many numbers an example has. Raises InputError for tokens, for none, or for no output."""
    if vocabulary is not None or not shape or min(shape) < 1:
        kind = "" if vocabulary is None else " of tokens"
        raise InputError(
            f"model '{model}' cannot take inputs of shape {tuple(shape)}{kind}; allowed are numbers of any "
            "shape, such as (features,) or (channels, height, width)"
        )
    _check_outputs(model, n_outputs)
    return math.prod(shape)


def _check_outputs(model: str, n_outputs: int) -> None:
    if n_outputs < 1:
        raise InputError(f"model '{model}' needs n_outputs >= 1, not {n_outputs}")


def conv_relu(
    n_in: int, n_out: int, kernel: int, norm: Norm, pool: nn.MaxPool2d | None = None
) -> nn.Sequential:
    """Convolution of stride 1 that keeps H x W (odd `kernel`), batch norm and max pooling if asked for, ReLU.

    The ReLU after the pooling gives the same values as before it, and has fewer to clamp.
    """
    conv = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=norm == "none")
    return _with_relu("conv", conv, nn.BatchNorm2d(n_out) if norm == "batch" else None, pool)


def linear_relu(n_in: int, n_out: int, norm: Norm) -> nn.Sequential:
    """Linear layer, batch norm if asked for, ReLU."""
    linear = nn.Linear(n_in, n_out, bias=norm == "none")
    return _with_relu("linear", linear, nn.BatchNorm1d(n_out) if norm == "batch" else None)


def init_he(net: nn.Module) -> None:
    """Convolution weights from N(0, 2 / (k * k * n_out)) and biases 0; other layers stay as torch drew them.

    He et al., "Delving Deep into Rectifiers", ICCV 2015, arXiv:1502.01852, in the fan-out form that the
    public codes of VGG for CIFAR, ResNet and DenseNet use.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _with_relu(
    name: str, layer: nn.Module, norm: nn.Module | None, pool: nn.MaxPool2d | None = None
) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict({name: layer})
    if norm is not None:
        parts["norm"] = norm
    if pool is not None:
        parts["pool"] = pool
    parts["relu"] = nn.ReLU()
    return nn.Sequential(parts)
