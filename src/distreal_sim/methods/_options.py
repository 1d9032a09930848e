"""Options that several methods have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from distreal_sim.thinning.engine.engine import Scaling

DropLinear = Annotated[
    Literal["auto"] | bool,
    Field(description="hidden linear layers are thinned too; auto: only where no convolution can be thinned"),
]

ScalingOption = Annotated[Scaling, Field(description="inverted: kept activations are multiplied by C / kept")]

Distil = Annotated[
    bool,
    Field(description="self-distillation: the largest sub-network that fits also teaches a smaller one"),
]
