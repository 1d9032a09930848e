"""The checkpoints of a run: folders that are whole or not there, from which a run is resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from distreal_sim.base.errors import InputError
from distreal_sim.base.files import sync, write_atomically
from distreal_sim.client.messages import Arrays, Job, Round, State
from distreal_sim.simulation.batteries import packed, unpacked
from distreal_sim.simulation.rounds import Progress

PRESENT = 0
"""Number of the server's present model among those of a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint; meta: what it says in plain values, the round, the clock and the lengths of tables."""

    path: Path
    meta: Mapping[str, Any]

    def read(self) -> tuple[Progress, dict[int, bytes]]:
        """Where the run stood, and the contexts of its clients."""
        meta, tensors = self.meta, load_file(self.path / "state.safetensors")
        state = State(_under("arrays", tensors), _under("extras", tensors))
        contexts = {int(k): v.tobytes() for k, v in _under("contexts", tensors).items()}
        jobs = _jobs(meta["jobs"], tensors, state)
        statistics, selection = _under("statistics", tensors), _under("selection", tensors)
        batteries = unpacked(_under("batteries", tensors))
        order = jobs, meta["n_dispatches"], selection, batteries
        return Progress(meta["round"], meta["sim_s"], state, statistics, *order), contexts


class Checkpoints:
    """The folder of a run's checkpoints, one subfolder each, by its round."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Makes the folder and removes what a crash left in it."""
        self.path.mkdir(exist_ok=True)
        for leftover in self.path.glob("*.tmp"):
            shutil.rmtree(leftover)

    def last(self, usable: Callable[[Mapping[str, Any]], bool]) -> Checkpoint | None:
        """The last one whose meta is usable."""
        for folder in sorted(self.path.glob("r*"), reverse=True):
            meta = json.loads((folder / "meta.json").read_text())
            if usable(meta):
                return Checkpoint(folder, meta)
        return None

    def of_round(self, number: int) -> Path:
        """The folder of a round's checkpoint, whether it is there or not."""
        return self.path / f"r{number:06d}"

    def write(self, progress: Progress, contexts: dict[int, bytes], more: Mapping[str, Any]) -> Path:
        """Writes one of this progress; it is there when its folder has its name. more: of its meta."""
        final = self.of_round(progress.round_number)
        temporary = final.with_name(final.name + ".tmp")
        temporary.mkdir()
        jobs, models = _described(progress)
        meta = {
            "round": progress.round_number,
            "sim_s": progress.sim_s,
            "n_dispatches": progress.n_dispatches,
            "jobs": jobs,
            **more,
        }
        write_atomically(temporary / "meta.json", json.dumps(meta).encode())
        tensors = {
            **_over("arrays", progress.state.arrays),
            **_over("extras", progress.state.extras),
            **_over("statistics", progress.statistics),
            **_over("selection", progress.selection),
            **_over("batteries", packed(progress.batteries)),
            **models,
            **_over("contexts", {str(k): np.frombuffer(v, np.uint8) for k, v in contexts.items()}),
        }
        write_atomically(temporary / "state.safetensors", save(tensors))
        sync(temporary)
        temporary.rename(final)
        sync(self.path)
        return final

    def remove(self, but: Collection[Path]) -> None:
        """Removes all but these."""
        for old in self.path.glob("r*"):
            if old not in but:  # renamed first: a checkpoint that is there is whole
                shutil.rmtree(old.rename(old.with_suffix(".tmp")))


def trained_arrays(path: Path) -> dict[str, np.ndarray]:
    """Parameters and statistics in the last checkpoint of a run. Raises InputError where there is none."""
    saved = sorted((path / "checkpoint").glob("r*/state.safetensors"))
    if not saved:
        raise InputError(f"{path} holds no model: nothing was trained, or no checkpoint was written yet")
    tensors = load_file(saved[-1])
    return _under("arrays", tensors) | _under("statistics", tensors)


def _over(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": np.asarray(a, order="C") for name, a in arrays.items()}


def _under(prefix: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix + "/"): v for k, v in tensors.items() if k.startswith(prefix + "/")}


def _described(progress: Progress) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """The running jobs as plain values, and the models that they started from, each once, as tensors.

    A job names its model by number; PRESENT is the one of the state.
    """
    numbers = {id(progress.state.arrays): PRESENT}
    models: dict[str, np.ndarray] = {}
    jobs = []
    for job in progress.jobs:
        if id(job.arrays) not in numbers:
            numbers[id(job.arrays)] = len(numbers)
            models |= _over(f"model{numbers[id(job.arrays)]}", job.arrays)
        started = {key: value for key, value in vars(job.round).items() if key != "cohort"}
        own = {"model": numbers[id(job.arrays)], "round": started, "told": dict(job.told)}
        jobs.append({"client_id": job.client_id, **own})
    return jobs, models


def _jobs(described: list[dict[str, Any]], tensors: dict[str, np.ndarray], state: State) -> tuple[Job, ...]:
    """The jobs that `_described` described."""
    models: dict[int, Arrays] = {PRESENT: state.arrays}
    for job in described:
        if job["model"] not in models:
            models[job["model"]] = _under(f"model{job['model']}", tensors)
    return tuple(
        Job(job["client_id"], Round(**job["round"]), models[job["model"]], told=job["told"])
        for job in described
    )
