"""Runs in Weights & Biases, https://wandb.ai, by default offline: files that `wandb sync` uploads."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from distreal_sim.base.plugins import library
from distreal_sim.results.trackers import Log, Tracked, Tracker


class WandB(Tracker):
    """A run of a project in Weights & Biases, with the config and a value for each column."""

    project: str = Field("distreal-sim", description="the project")
    mode: Literal["offline", "online"] = Field(
        "offline", description="offline: files below `wandb` in the run's directory; online: the server"
    )

    def check(self) -> None:
        library("wandb", "init", "tracker wandb needs W&B", "wandb")

    def open(self, run: Tracked) -> Log:
        wandb = importlib.import_module("wandb")
        settings = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
        own = wandb.init(
            project=self.project,
            name=run.title,
            id=run.identity,
            resume="allow" if self.mode == "online" else None,
            config=dict(run.config),
            dir=str(run.path),
            mode=self.mode,
            reinit="create_new",
            settings=settings,
        )
        return _Run(own)


class _Run(Log):
    def __init__(self, run: Any) -> None:
        self._run = run

    def write(self, round_number: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=round_number)

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)
