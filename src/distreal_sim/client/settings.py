"""Settings that are no plug-ins: local training and evaluation."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from distreal_sim.base.values import ConfigModel
from distreal_sim.thinning.structure import MemoryFormat, Precision

Overrun = Literal["drop", "partial", "wait"]
"""What becomes of a client still computing at the deadline: its update is lost, its finished steps count, or
the server waits for it."""

Weight = Literal["examples", "clients", "trained_examples", "macs"]
"""What a client weighs in an average (`merging.average.weighted_average`)."""


class Local(ConfigModel):
    """The work that a client plans for a round: plain SGD over shuffled epochs or a number of steps."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int | None = Field(None, ge=1, description="passes over the client's examples")
    steps: int | None = Field(None, ge=1, description="mini-batches, instead of epochs")
    batch_size: int = Field(32, ge=1, description="examples per mini-batch")
    lr: float = Field(0.1, ge=0, description="learning rate of the first round")
    momentum: float = Field(0.0, ge=0, lt=1, description="SGD momentum; starts from zero in every round")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty added to the gradient")
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
    lr_schedule: Literal["constant", "cosine", "step"] = Field("constant", description="over the rounds")
    lr_final: float = Field(0.0, ge=0, description="cosine: learning rate of the last round")
    nonfinite: Literal["fail", "exclude"] = Field(
        "fail",
        description="a client whose weights or loss become infinite or NaN ends the run, or is not merged",
    )
    lr_milestones: tuple[int, ...] = Field((), description="step: rounds in which lr falls by lr_factor")
    lr_factor: float = Field(0.1, gt=0, le=1, description="step: what lr is multiplied by at each milestone")

    @model_validator(mode="after")
    def _check(self) -> Local:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        return self

    def rate(self, round_number: int, rounds: int) -> float:
        """Learning rate of round 1 ... rounds."""
        if self.lr_schedule == "cosine" and rounds > 1:
            turn = math.cos(math.pi * (round_number - 1) / (rounds - 1))
            return self.lr_final + (self.lr - self.lr_final) * (1 + turn) / 2
        if self.lr_schedule == "step":
            return self.lr * self.lr_factor ** sum(round_number >= m for m in self.lr_milestones)
        return self.lr


class Evaluation(ConfigModel):
    """How and when the global model is tested; the last round always is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int = Field(1, ge=1, description="rounds between evaluations")
    data: Literal["test", "validation"] = Field(
        "test",
        description="what the model is tested on: validation is the share of the training examples that "
        "dataset.validation holds out, for choosing learning rates and the like",
    )
    examples: int | None = Field(
        None, ge=1, description="number of examples to test on, drawn once by the seed; left out: all of them"
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
