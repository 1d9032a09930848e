"""Tasks: what a network learns, as its loss and what it needs of the data; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin, load, names
from distreal_sim.data.datasets import Data, Targets

Loss = Callable[[Tensor, Tensor], Tensor]

IN_WORDS: dict[Targets, str] = {
    "class": "one class for each example",
    "tokens": "tokens for each example",
    "values": "values for each example",
    "marks": "labels that apply or not",
}
"""`Targets` in messages."""

AUTO = "auto"
"""Name of the task that stands for the one that suits the data."""


class LearningTask(Plugin):
    """The loss of a network's outputs, and the targets that it is a loss for.

    targets: what y must hold. asks: what one output stands for, in messages. metrics: names of the metrics
    that are measured if the config names none. names_classes: whether an output vector is scores of classes
    (or tokens), one of which y names, so that a client may have examples of some of them only.
    """

    package: ClassVar[str] = "distreal_sim.recipe.tasks"
    label: ClassVar[str] = "task"

    targets: ClassVar[Targets]
    asks: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]] = ()
    names_classes: ClassVar[bool] = False

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The mean loss of a mini-batch, which a training step minimises: a scalar.

        outputs: (n, *output_shape); y: the targets of the n examples, or what `target` returns.
        """

    @property
    def loss_fn(self) -> Loss:
        """`loss`, for training steps."""
        return self.loss

    def losses(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, int]:
        """(sum of the losses, their number) on some examples, for tests: sums over parts of them add up.

        y: targets. By default a loss for each example.
        """
        return self.loss(outputs, y) * len(y), len(y)

    def target(self, outputs: Tensor, y: Tensor) -> Tensor:
        """What a smaller network learns from a larger one's outputs, as `y` of `loss`; by default them."""
        return outputs

    def smoothed(self, share: float) -> LearningTask:
        """The task whose training loss gives every class share / number of classes of the label's weight.

        `losses` stays as it is, and so is the loss of a `target`. Raises InputError where y names no classes.
        """
        raise InputError(
            f"local.label_smoothing ({share:g}) is for tasks whose targets are classes, which those of task "
            f"{self.name} are not; set it to 0"
        )

    def output_shape(self, data: Data) -> tuple[int, ...]:
        """Shape of a network's outputs for one example: (n_outputs,), or (L, n_outputs) of tokens."""
        return (data.n_outputs,)

    def settled(self, data: Data, where: str) -> LearningTask:
        """The task that is learnt. where: name of the data set, for messages.

        Raises InputError where the targets do not suit it.
        """
        if data.targets == self.targets:
            return self
        raise InputError(
            f"task {self.name} needs {IN_WORDS[self.targets]}, and y of data set {where} holds "
            f"{IN_WORDS[data.targets]}: use task {suited(data.targets)}, or leave task out"
        )

    def check_outputs(self, model: str, data: Data, outputs: object, n: int) -> None:
        """Raises InputError unless these can be a network's outputs for n examples."""
        shape = self.output_shape(data)
        if isinstance(outputs, Tensor) and tuple(outputs.shape) == (n, *shape):
            return
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(
            f"model {model} must return outputs of shape (n, {', '.join(map(str, shape))}), {self.asks}; for "
            f"n = {n} it returns {got}"
        )


def suited(targets: Targets) -> str:
    """Name of the bundled task for these targets."""
    for name in names(LearningTask):
        if name != AUTO and load(LearningTask, name).targets == targets:  # type: ignore[type-abstract]
            return name
    raise AssertionError(f"no task for {targets}")
