"""A network with exits: classifiers after its stages, so that a part of it is a network too."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from distreal_sim.base.errors import InputError
from distreal_sim.models import Staged
from distreal_sim.thinning.structure import Structure

POOLS = (nn.MaxPool2d, nn.AvgPool2d)


class _EnoughError(Exception):
    """Ends a forward pass once the last exit that was asked for has its scores."""


class WithExits(nn.Module):
    """`network` with a classifier after each of the parts named in `after`, and its own after the last.

    average: its output in tests: the mean of the scores of all exits, or those of the last one alone.
    In training mode it is always the mean, so that whoever watches a forward pass sees all exits.
    """

    def __init__(
        self, network: nn.Module, after: Sequence[str], exits: Sequence[nn.Module], average: bool
    ) -> None:
        super().__init__()
        self.network, self.exits = network, nn.ModuleList(exits)
        self.after, self.average = tuple(after), average

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, C, H, W); returns scores (n, n_classes)."""
        if not self.average and not self.training:
            last: Tensor = self.network(x)
            return last
        return self._mean(x, len(self.exits))

    def test(self, x: Tensor, last: int) -> Tensor:
        """Output in tests of the network that ends with exit `last`."""
        return self._mean(x, last) if self.average else self.scores(x, [last])[0]

    def _mean(self, x: Tensor, last: int) -> Tensor:
        first, *others = self.scores(x, range(last + 1))
        return sum(others, first) / (len(others) + 1)

    def scores(self, x: Tensor, wanted: Sequence[int]) -> list[Tensor]:
        """Scores (n, n_classes) of the exits with these ascending numbers, from 0; no later stage is run."""
        found: list[Tensor] = []

        def exit_of(number: int) -> Any:
            def hook(part: nn.Module, args: Any, output: Tensor) -> None:
                found.append(self.exits[number](output))
                if number == wanted[-1]:
                    raise _EnoughError

            return hook

        hooks = [
            self.network.get_submodule(self.after[number]).register_forward_hook(exit_of(number))
            for number in wanted
            if number < len(self.exits)
        ]
        try:
            found.append(self.network(x))
        except _EnoughError:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        return found


def with_exits(module: nn.Module, structure: Structure, depths: int | None, average: bool) -> nn.Module:
    """The network with `depths` exits, the last one its own classifier; None: one after each stage.

    With fewer exits than stages they follow stages at even distances. Raises InputError for a network
    whose stages are not known, or that has fewer.
    """
    stages = _stages(module)
    n_stages = len(stages) + 1
    if depths is not None and depths > n_stages:
        raise InputError(f"method.depths ({depths}) must be at most {n_stages}, the stages of the model")
    n_exits = depths or n_stages
    if n_exits == 1:
        return module
    after = [stages[n_stages * number // n_exits - 1] for number in range(1, n_exits)]
    classifier = module.get_submodule(structure.layers[-1].module)
    assert isinstance(classifier, nn.Linear)
    norm = isinstance(module, Staged) and module.exits_need_norm
    exits = [_head(_width(module, name), classifier.out_features, norm) for name in after]
    return WithExits(copy.deepcopy(module), after, exits, average)


def _stages(module: nn.Module) -> list[str]:
    """Names of the parts after which a stage ends, but for the last stage."""
    if isinstance(module, Staged):
        return list(module.stage_ends)
    if not isinstance(module, nn.Sequential):
        raise InputError(
            f"exits are placed after the stages of a network, and those of {type(module).__name__} are not "
            "known; use resnet20, resnet18, preresnet, an nn.Sequential with pooling between "
            "its convolutions (small_cnn, cnn_cifar, femnist_cnn, heterofl_cnn, vgg11), or give it the "
            "attributes stage_ends and exits_need_norm"
        )
    ends: list[str] = []
    n_convolutions = 0
    found = [(name, part) for name, part in module.named_children()]
    last_conv = max((i for i, (_, part) in enumerate(found) if _convolutions(part)), default=0)
    for name, part in found[:last_conv]:
        n_convolutions += len(_convolutions(part))
        pools = [isinstance(leaf, POOLS) for leaf in part.modules() if isinstance(leaf, (nn.Conv2d, *POOLS))]
        if n_convolutions and pools and pools[-1]:
            ends.append(name)
            n_convolutions = 0
    return ends


def _width(module: nn.Module, end: str) -> int:
    """Channels after the part `end`: those of the last convolution in it or, if it is a pool, before it."""
    found = module.get_submodule(end)
    if _convolutions(found):
        return _convolutions(found)[-1].out_channels
    before = [part for name, part in module.named_children()]
    before = before[: before.index(found)]
    return [layer for part in before for layer in _convolutions(part)][-1].out_channels


def _convolutions(part: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]


def _head(width: int, n_classes: int, norm: bool) -> nn.Sequential:
    """Global average pooling and a linear layer, after norm and ReLU where the stage ends in neither."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if norm:
        layers |= {"norm": nn.BatchNorm2d(width), "relu": nn.ReLU()}
    layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    layers["linear"] = nn.Linear(width, n_classes)
    return nn.Sequential(layers)
