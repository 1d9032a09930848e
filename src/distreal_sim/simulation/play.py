"""One run, from an open directory and a fleet to its finished files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.results.trackers import Tracker
from distreal_sim.simulation.callbacks import OnRound, StopRun, unseen
from distreal_sim.simulation.clock.rounds import run_clock
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.rounds import Play, Progress, Simulation, play_round, simulate, start
from distreal_sim.simulation.run_directory import RunDirectory
from distreal_sim.simulation.steps import play_step
from distreal_sim.simulation.tracking import tracked
from distreal_sim.simulation.verify import Verifying
from distreal_sim.simulation.watch import Watch, rows_of


def play(
    directory: RunDirectory,
    experiment: Experiment,
    task: Task,
    fleet: Fleet | None,
    on_round: OnRound = unseen,
    trackers: Sequence[Tracker] = (),
    *,
    verify: bool = False,
) -> None:
    """Plays the run to its end, starting from the last checkpoint in its directory.

    fleet: None for the clock alone. on_round: may raise StopRun to end the run, which can be resumed.
    trackers: beside those of the experiment. verify:
    check the bookkeeping of every round; raises InvariantError if it does not hold.
    """
    directory.measures(task.scoring.better)
    directory.notes["level_1_macs_per_s"] = task.devices.median_level_1
    try:
        progress, contexts = directory.resume(start(experiment, task))
        if fleet is not None:
            fleet.restore(contexts)
        if task.front is not None:
            task.front.save(directory.path / "front.json")
        own = experiment, task, progress.sim_s, progress.batteries
        recorder = Verifying(directory, *own) if verify else directory
        every = (*experiment.trackers, *trackers)
        with tracked(every, experiment, directory.path, on_round) as shown:
            watch = Watch(experiment, task.scoring.better, rows_of(directory.rounds.path))
            if fleet is not None:

                def keep(now: Progress) -> None:
                    directory.keep_best(final_model(task, now), now.round_number)

                sim = Simulation(experiment, task, fleet, recorder)
                progress = simulate(sim, progress, shown, watch, keep, order_of(experiment))
            else:
                progress = run_clock(experiment, task, progress, recorder, shown, watch)
            directory.notes |= watch.notes()
        directory.finish(final_model(task, progress))
    except StopRun as stop:
        directory.notes["stopped_by"] = str(stop)
        directory.abandon("stopped")
    except BaseException as error:
        directory.abandon("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        raise


def order_of(experiment: Experiment) -> Play:
    """What plays a round, or a step of the server where the coordination is not that of rounds."""
    return play_round if experiment.coordination.in_rounds else play_step


def final_model(task: Task, progress: Progress) -> dict[str, np.ndarray]:
    """The network's whole state dict: trained parameters, statistics for testing and all other buffers."""
    initial = {name: value.numpy() for name, value in task.module.state_dict().items()}
    return {**initial, **progress.state.arrays, **progress.statistics}
