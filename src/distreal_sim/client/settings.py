"""Settings that are no plug-ins: local training and evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, SerializeAsAny, model_validator

from distreal_sim.base.values import ConfigModel
from distreal_sim.recipe.augmentations import Augmentation
from distreal_sim.recipe.metrics import Metric
from distreal_sim.recipe.optimizers import Optimizer
from distreal_sim.recipe.optimizers.sgd import Sgd
from distreal_sim.recipe.schedules import Schedule
from distreal_sim.recipe.schedules.constant import Constant
from distreal_sim.thinning.structure import MemoryFormat, Precision

Overrun = Literal["drop", "partial", "wait"]
"""What becomes of a client still computing at the deadline: its update is lost, its finished steps count, or
the server waits for it."""

Weight = Literal["examples", "clients", "trained_examples", "macs"]
"""What a client weighs in an average (`merging.average.weighted_average`)."""


class Local(ConfigModel):
    """The work that a client plans for a round: steps over shuffled epochs, or a number of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int | None = Field(None, ge=1, description="passes over the client's examples")
    steps: int | None = Field(None, ge=1, description="mini-batches, instead of epochs")
    batch_size: int = Field(32, ge=1, description="examples per mini-batch")
    lr: float = Field(0.1, ge=0, description="learning rate at the start of the schedule")
    optimizer: SerializeAsAny[Optimizer] = Field(
        Sgd(), description="the rule of a step; its state starts from zero in every round"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="longest gradient of a step; longer ones are scaled down to it"
    )
    memory_format: MemoryFormat = Field(
        "channels_last",
        description="memory layout of images, which affects speed and rounding; contiguous (PyTorch's "
        "default layout) is faster for wide convolutions on few pixels, as in vgg11",
    )
    precision: Precision = Field(
        "float32",
        description="precision of training steps; bfloat16: PyTorch's autocast, faster on processors with "
        "bfloat16 units (measured: AMX), with products of 8 significant bits; parameters, updates and tests "
        "are float32",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of a label's weight in the loss that all classes get in equal parts",
    )
    augment: tuple[SerializeAsAny[Augmentation], ...] = Field(
        (), description="random changes of the images of a mini-batch, in this order"
    )
    lr_schedule: SerializeAsAny[Schedule] = Field(
        Constant(), description="the learning rate as a function of the round"
    )
    nonfinite: Literal["fail", "exclude"] = Field(
        "fail",
        description="a client whose weights or loss become infinite or NaN ends the run, or is not merged",
    )

    @model_validator(mode="after")
    def _check(self) -> Local:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        return self

    @property
    def momentum(self) -> float:
        """Share of a gradient's step that the next step repeats; 0 for rules other than SGD."""
        return self.optimizer.momentum if isinstance(self.optimizer, Sgd) else 0.0

    def doing(self, epochs: int = 0, steps: int = 0) -> Local:
        """The same settings with other planned work; both 0: with the work that they plan."""
        if not epochs and not steps:
            return self
        return self.model_copy(update={"epochs": epochs or None, "steps": steps or None})

    def rate(self, round_number: int, rounds: int) -> float:
        """Learning rate of round 1 ... rounds."""
        return self.lr_schedule.rate(self.lr, round_number, rounds)


class Evaluation(ConfigModel):
    """How and when the global model is tested; the last round always is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int = Field(1, ge=1, description="rounds between evaluations")
    metrics: tuple[SerializeAsAny[Metric], ...] = Field(
        (),
        description="what is measured beside the loss, the first being the one that tables and figures show; "
        "empty: the metrics of the task",
    )
    data: Literal["test", "validation"] = Field(
        "test",
        description="what the model is tested on: validation is the share of the training examples that "
        "dataset.validation holds out, for choosing learning rates and the like",
    )
    examples: int | None = Field(
        None, ge=1, description="number of examples to test on, drawn once by the seed; left out: all of them"
    )
    clients: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        0,
        description="clients on whose own test examples the model is tested too, drawn once by the seed, or "
        "all; with 0 none, and nobody's examples are held out",
    )
    classes: bool = Field(
        False,
        description="whether the test examples of each class are also counted apart (class_scores.csv); "
        "for data whose y holds one class an example",
    )
    client_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of every client's examples that it is tested on and does not train on, if clients "
        "is not 0",
    )
    batch_norm: Literal["reestimate", "batch", "running"] = Field(
        "reestimate",
        description="batch-norm statistics for testing: re-estimated on clients' batches; those of each test "
        "batch; or running statistics, kept in training and averaged like weights",
    )
    statistics_batches: int = Field(20, ge=1, description="reestimate: number of clients' batches averaged")
    batch_size: int = Field(
        500, ge=2, description="test examples per forward pass; with batch_norm `batch` it changes results"
    )

    @model_validator(mode="after")
    def _check(self) -> Evaluation:
        if self.clients and self.batch_norm == "batch":
            raise ValueError(
                "clients cannot be used with batch_norm batch, whose statistics of one client's few examples "
                "say nothing; use reestimate or running"
            )
        return self

    def due(self, round_number: int) -> bool:
        """Whether a round is tested whatever round is the last."""
        return round_number % self.every == 0
