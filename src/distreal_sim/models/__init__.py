"""Networks: one plug-in a file."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from torch import nn

from distreal_sim.base.plugins import Plugin
from distreal_sim.models._module import model_class


@runtime_checkable
class Staged(Protocol):
    """A network that says where its stages end, so that classifiers can be placed there.

    stage_ends: names of the submodules after which a stage ends, without the last stage; exits_need_norm:
    whether a stage's output still has to go through a norm and a ReLU before it is classified.
    """

    stage_ends: tuple[str, ...]
    exits_need_norm: bool


class Model(Plugin):
    """Builds a network.

    only_linear: whether linear layers are all that can be thinned of it, so that `method.drop_linear: auto`
    thins them; for bundled networks, users' own are inspected.
    """

    package: ClassVar[str] = "distreal_sim.models"
    label: ClassVar[str] = "model"
    only_linear: ClassVar[bool] = False

    @classmethod
    def adapt(cls, target: Any) -> type[Self] | None:
        """Any torch.nn.Module class is a model; its constructor's parameters are the options."""
        if inspect.isclass(target) and issubclass(target, nn.Module):
            return model_class(cls, target)
        return None

    @abstractmethod
    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """A freshly initialised network for inputs (n, *shape), which returns (n, n_outputs).

        shape: (C, H, W) of images, (C,) of rows of a table, (L,) of token ids 0 .. vocabulary - 1.
        vocabulary: None if the inputs are no tokens. A network that predicts a token at each place returns
        (n, L, n_outputs). Parameters are drawn from torch's default generator, which the caller has seeded.
        """
