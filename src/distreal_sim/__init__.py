"""Simulator of federated learning on devices whose compute budget is small, unequal and changing.

    import distreal_sim as ds

    run = ds.run("configs/digits.yaml", rounds=3, method={"name": "fedavg"})
    run.rounds, run.clients, run.model(), run.plot()

Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# Flower and Ray read these when they are imported: nothing is reported to anybody, and Ray listens on
# loopback only, also on Linux, in spite of the variable's name.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as future versions do; else Ray warns

if TYPE_CHECKING:
    from distreal_sim.base.errors import InputError, RunError
    from distreal_sim.client.client import Client
    from distreal_sim.client.coverage import Coverage
    from distreal_sim.client.messages import Job, Round, State, Update
    from distreal_sim.client.schedule import Choice
    from distreal_sim.client.task import Task
    from distreal_sim.codecs import Codec
    from distreal_sim.config import Experiment, json_schema
    from distreal_sim.data.datasets import Data, Dataset, Examples
    from distreal_sim.data.partitions import Partition, Split
    from distreal_sim.devices.availability import Availability
    from distreal_sim.devices.batteries import Battery
    from distreal_sim.devices.controllers import Controller
    from distreal_sim.devices.energy import Energy
    from distreal_sim.devices.links import Link, Links
    from distreal_sim.devices.memory import Memory
    from distreal_sim.devices.profiles import Profile
    from distreal_sim.inspection.calibration import Calibration, calibrate
    from distreal_sim.inspection.check import Check, check
    from distreal_sim.inspection.listing import names
    from distreal_sim.inspection.tables import inspect
    from distreal_sim.inspection.timing import measure
    from distreal_sim.merging.merges import Merge
    from distreal_sim.methods import Method
    from distreal_sim.models import Model
    from distreal_sim.planning.plan import Plan, plan
    from distreal_sim.recipe.augmentations import Augmentation
    from distreal_sim.recipe.metrics import Metric
    from distreal_sim.recipe.optimizers import Optimizer
    from distreal_sim.recipe.schedules import Schedule
    from distreal_sim.recipe.tasks import LearningTask
    from distreal_sim.results.show import judge, plot, table
    from distreal_sim.results.trackers import Log, Tracked, Tracker
    from distreal_sim.run import Run, load_experiment, load_runs, run
    from distreal_sim.search.run import search
    from distreal_sim.server.coordination import Coordination
    from distreal_sim.server.selection import Selection
    from distreal_sim.simulation.callbacks import Callback, StopRun
    from distreal_sim.submodels.levels import Always, Level, PerRound, PerStep
    from distreal_sim.sweep.preview import check_sweep
    from distreal_sim.sweep.run import sweep

_HOMES = {
    "base.errors": "InputError RunError",
    "client.client": "Client",
    "client.coverage": "Coverage",
    "client.messages": "Job Round State Update",
    "client.schedule": "Choice",
    "client.task": "Task",
    "codecs": "Codec",
    "config": "Experiment json_schema",
    "data.datasets": "Data Dataset Examples",
    "data.partitions": "Partition Split",
    "devices.availability": "Availability",
    "devices.batteries": "Battery",
    "devices.controllers": "Controller",
    "devices.energy": "Energy",
    "devices.links": "Link Links",
    "devices.memory": "Memory",
    "devices.profiles": "Profile",
    "inspection.calibration": "Calibration calibrate",
    "inspection.check": "Check check",
    "inspection.listing": "names",
    "inspection.tables": "inspect",
    "inspection.timing": "measure",
    "merging.merges": "Merge",
    "methods": "Method",
    "models": "Model",
    "planning.plan": "Plan plan",
    "recipe.augmentations": "Augmentation",
    "recipe.metrics": "Metric",
    "recipe.optimizers": "Optimizer",
    "recipe.schedules": "Schedule",
    "recipe.tasks": "LearningTask",
    "results.show": "judge plot table",
    "results.trackers": "Log Tracked Tracker",
    "run": "Run load_experiment load_runs run",
    "search.run": "search",
    "server.coordination": "Coordination",
    "server.selection": "Selection",
    "simulation.callbacks": "Callback StopRun",
    "submodels.levels": "Always Level PerRound PerStep",
    "sweep.preview": "check_sweep",
    "sweep.run": "sweep",
}
"""The public names, by the module that each is imported from."""

_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Always",
    "Augmentation",
    "Availability",
    "Battery",
    "Calibration",
    "Callback",
    "Check",
    "Choice",
    "Client",
    "Codec",
    "Controller",
    "Coordination",
    "Coverage",
    "Data",
    "Dataset",
    "Energy",
    "Examples",
    "Experiment",
    "InputError",
    "Job",
    "LearningTask",
    "Level",
    "Link",
    "Links",
    "Log",
    "Memory",
    "Merge",
    "Method",
    "Metric",
    "Model",
    "Optimizer",
    "Partition",
    "PerRound",
    "PerStep",
    "Plan",
    "Profile",
    "Round",
    "Run",
    "RunError",
    "Schedule",
    "Selection",
    "Split",
    "State",
    "StopRun",
    "Task",
    "Tracked",
    "Tracker",
    "Update",
    "calibrate",
    "check",
    "check_sweep",
    "inspect",
    "json_schema",
    "judge",
    "load_experiment",
    "load_runs",
    "measure",
    "names",
    "plan",
    "plot",
    "run",
    "search",
    "sweep",
    "table",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module(f"{__name__}.base.versions").version_of()
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_HOME_OF[name])
    return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
    return sorted(__all__)
