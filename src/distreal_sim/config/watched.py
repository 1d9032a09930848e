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


class Budget(ConfigModel):
    """Costs since the start of the run, of all clients together; `sim_s` is the time on the clock."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sim_s: float | None = Field(None, gt=0, description="simulated seconds")
    macs: float | None = Field(None, gt=0, description="MACs that clients compute")
    download_bytes: float | None = Field(None, gt=0, description="bytes from the server to clients")
    upload_bytes: float | None = Field(None, gt=0, description="bytes from clients to the server")
    energy_j: float | None = Field(
        None, gt=0, description="joules that clients take; needs `energy`, which says how many"
    )

    @property
    def limits(self) -> dict[str, float]:
        """The costs that are limited, with their limits."""
        return {name: value for name, value in self if value is not None}


class Stop(ConfigModel):
    """The run ends early: after a round that is tested on schedule, or when a budget is spent."""

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
    budget: Budget = Field(
        Budget(), description="the run ends after the round in which one of these costs reaches its limit"
    )
    after: int = Field(0, ge=0, description="rounds that are played in any case")

    @model_validator(mode="after")
    def _check(self) -> Stop:
        if not self.by_tests and not self.budget.limits:
            raise ValueError("give patience, target or budget, or several of them")
        return self

    @property
    def by_tests(self) -> bool:
        """Whether it looks at tests."""
        return self.patience is not None or self.target is not None
