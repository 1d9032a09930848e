"""Event files for TensorBoard, https://www.tensorflow.org/tensorboard."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from distreal_sim.base.plugins import ConfigPath, library
from distreal_sim.results.trackers import Log, Tracked, Tracker


class TensorBoard(Tracker):
    """Event files for `tensorboard --logdir`; a scalar for each column."""

    folder: ConfigPath | None = Field(
        None,
        description="folder of the event files, one below it for each run; left out: `tensorboard` in the "
        "run's directory",
    )

    def check(self) -> None:
        library("tensorboard", "__version__", "tracker tensorboard needs TensorBoard", "tensorboard")

    def open(self, run: Tracked) -> Log:
        place = run.path / "tensorboard" if self.folder is None else self.folder / run.path.name
        events = importlib.import_module("torch.utils.tensorboard")
        # rounds that are played again after a resume take the place of those logged before
        return _Events(events.SummaryWriter(str(place), purge_step=run.first_round))


class _Events(Log):
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, round_number: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, round_number)

    def close(self, finished: bool) -> None:
        self._writer.close()
