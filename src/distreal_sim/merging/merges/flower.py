"""A Flower strategy as the server's merge, for clients that train the whole network.

The strategy's options are given beside its name; `flower_options` checks them and fills in defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.base.values import ConfigModel
from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.merges import Merge

# Importing Flower takes half a second, so the functions below import the modules that need it.


class Flower(Merge):
    """A Flower strategy such as FedAdam, FedYogi, FedAvgM or Krum; weighted by examples."""

    model_config = ConfigDict(frozen=True, extra="allow")

    strategy: str = Field(
        description="strategy of Flower, or the dotted path of a subclass of Flower's FedAvg"
    )

    whole_only: ClassVar[bool] = True

    @classmethod
    def checker(cls, options: Mapping[str, Any]) -> type[ConfigModel]:
        from distreal_sim.merging.flower_options import options_of

        name = options.get("strategy")
        if not isinstance(name, str):
            return cls
        return options_of(name)

    @classmethod
    def checkers(cls) -> list[type[ConfigModel]]:
        from distreal_sim.merging.flower_options import OwnStrategy, options_of, strategies

        return [*map(options_of, strategies()), OwnStrategy]

    @model_validator(mode="after")
    def _can_be_made(self) -> Flower:
        from distreal_sim.merging.flower_options import make

        try:
            make(self)
        except (TypeError, ValueError) as error:
            raise InputError(f"strategy '{self.strategy}' cannot be made: {error}") from error
        return self

    @property
    def code(self) -> tuple[str, ...]:
        return (self.strategy,) if "." in self.strategy else ()

    @property
    def title(self) -> str:
        return f"merge.strategy {self.strategy}"

    @property
    def least_updates(self) -> int:
        """Bulyan's minimum; the other strategies merge any number of updates."""
        malicious: int = (self.model_extra or {}).get("num_malicious_nodes", 0)
        return 4 * malicious + 3 if self.strategy == "Bulyan" else 0

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        from distreal_sim.merging.flower_round import aggregate

        return aggregate(self, state, now, updates)
