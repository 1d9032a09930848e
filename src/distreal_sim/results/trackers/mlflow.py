"""Runs in MLflow, https://mlflow.org."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from distreal_sim.base.plugins import library
from distreal_sim.results.trackers import Log, Tracked, Tracker

TAG = "distreal_sim.identity"
"""The tag by which a resumed run is found again."""

MOST_PARAMS = 100
"""Parameters that MLflow takes at once."""


class MLflow(Tracker):
    """A run of an MLflow experiment; config keys are its parameters, columns its metrics."""

    uri: str | None = Field(
        None,
        description="tracking server or database, such as http://127.0.0.1:5000; left out: what MLflow's own "
        "settings say (MLFLOW_TRACKING_URI)",
        examples=["http://127.0.0.1:5000"],
    )
    experiment: str = Field("distreal-sim", description="the experiment in MLflow")

    def check(self) -> None:
        library("mlflow", "MlflowClient", "tracker mlflow needs MLflow", "mlflow")

    def open(self, run: Tracked) -> Log:
        client = importlib.import_module("mlflow").MlflowClient(self.uri)
        known = client.get_experiment_by_name(self.experiment)
        place = known.experiment_id if known is not None else client.create_experiment(self.experiment)
        found = client.search_runs([place], f"tags.`{TAG}` = '{run.identity}'")
        if found:
            run_id = found[0].info.run_id
            client.update_run(run_id, "RUNNING")
            sent = max((m.step for m in client.get_metric_history(run_id, "sim_s")), default=0)
            return _Run(client, run_id, sent)
        run_id = client.create_run(place, run_name=run.title, tags={TAG: run.identity}).info.run_id
        param = importlib.import_module("mlflow.entities").Param
        params = [param(key, str(value)[:500]) for key, value in run.config.items()]
        for first in range(0, len(params), MOST_PARAMS):
            client.log_batch(run_id, params=params[first : first + MOST_PARAMS])
        return _Run(client, run_id, 0)


class _Run(Log):
    """sent: the last round that MLflow has; those played again after a resume have the same values."""

    def __init__(self, client: Any, run_id: str, sent: int) -> None:
        self._client, self._run_id, self._sent = client, run_id, sent

    def write(self, round_number: int, values: Mapping[str, float]) -> None:
        if round_number <= self._sent:
            return
        entities = importlib.import_module("mlflow.entities")
        now_ms = int(time.time() * 1000)
        metrics = [entities.Metric(name, value, now_ms, round_number) for name, value in values.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self._run_id, "FINISHED" if finished else "KILLED")
