"""What a run watches in its tests: the best model, and when the run ends early."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from distreal_sim.base.values import ConfigModel

Goal = Literal["max", "min"]


class Best(ConfigModel):
    """The model of the round with the best value of a metric is kept, in `best.safetensors`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(
        "test_accuracy", description="a column of `rounds.csv`, looked at in the rounds tested on schedule"
    )
    goal: Goal | None = Field(
        None,
        description="whether a larger or a smaller value is better; left out: what the metric says, min "
        "for a loss",
    )


class Stop(ConfigModel):
    """The run ends early, after a round that is tested on schedule."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: str = Field(
        "test_accuracy", description="a column of `rounds.csv`, looked at in the rounds tested on schedule"
    )
    goal: Goal | None = Field(
        None,
        description="whether a larger or a smaller value is better; left out: what the metric says, min "
        "for a loss",
    )
    patience: int | None = Field(
        None, ge=1, description="tests in a row without a better value than before, after which the run ends"
    )
    min_delta: float = Field(0.0, ge=0, description="a value must be better by more than this to count")
    target: float | None = Field(None, description="the run ends with the first value that is this good")
    after: int = Field(0, ge=0, description="rounds that are played in any case")

    @model_validator(mode="after")
    def _check(self) -> Stop:
        if self.patience is None and self.target is None:
            raise ValueError("give patience or target, or both")
        return self
