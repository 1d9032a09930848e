"""A whole search: explores, measures the found front on fresh seeds, writes it; or measures a given front."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from distreal_sim.base.errors import InputError
from distreal_sim.base.process import check_workers, prepare_process
from distreal_sim.base.progress import progress_on_stderr
from distreal_sim.base.rng import Rngs
from distreal_sim.config import Experiment, texts_of
from distreal_sim.fronts.front import Front
from distreal_sim.fronts.option import front_of
from distreal_sim.inspection import cautions
from distreal_sim.search.archive import Archive
from distreal_sim.search.directory import SearchDirectory, open_directory
from distreal_sim.search.explore import Exploration, Generation, explore
from distreal_sim.search.objective import Objective, before_snapshots
from distreal_sim.search.progress import SearchShown
from distreal_sim.search.record import measured_front, searched_front
from distreal_sim.search.reevaluate import Comparison, Reevaluation, reevaluate
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Search, load_search
from distreal_sim.search.space import Pair
from distreal_sim.search.table import confirmed, fastest_of, table_of
from distreal_sim.search.workers import Workers, open_workers


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A search that was played.

    front: the table that was found, or the given one; comparison: its hypervolume and its rivals', on fresh
    seeds; path: the directory, which holds the front as front.json.
    """

    front: Front
    comparison: Comparison
    path: Path


def search(
    config: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    n_workers: int | None = None,
    ray_address: str | None = None,
    resume: bool = False,
    progress: bool = False,
    warn: cautions.Warn = cautions.python_warning,
    **overrides: Any,
) -> SearchResult:
    """Searches for a front of dropout vectors into the directory `out`, or resumes the search that is there.

    With the key `front` nothing is searched: the worth of that front is measured.

    config: a search config, a YAML file or what one would hold. overrides: its keys, `seed=3`, and the
    experiment's, `experiment={"model": {"width": 8}}`. out: by default runs/search-NAME-SEED. n_workers:
    processes, by default as many as cores, of the whole cluster with ray_address. progress: a bar on stderr,
    or lines if that is no terminal. The front does not depend on the number of workers.
    Returns `front`, `comparison` (its hypervolume and its rivals', on fresh seeds) and `path`, the directory.
    Raises InputError for a mistake in the input.
    """
    check_workers(n_workers)
    settings, experiment, notes = load_search(config, texts_of(overrides, {"front"}))
    for note in notes:
        warn(note)
    name = "search" if isinstance(config, Mapping) else Path(config).stem
    path = default_directory(name, settings) if out is None else Path(out)
    with progress_on_stderr(progress) as shown:
        front, comparison = run_search(
            settings,
            experiment,
            path,
            config=name,
            n_workers=n_workers,
            ray_address=ray_address,
            resume=resume,
            show=SearchShown(shown),
        )
    return SearchResult(front, comparison, path)


def default_directory(name: str, settings: Search) -> Path:
    """runs/search-NAME-SEED; name: of the config."""
    return Path("runs") / f"search-{name}-{settings.seed}"


def run_search(
    search: Search,
    experiment: Experiment,
    out: Path,
    *,
    config: str = "",
    n_workers: int | None = None,
    ray_address: str | None = None,
    resume: bool = False,
    show: SearchShown | None = None,
) -> tuple[Front, Comparison]:
    """Searches into the directory `out`, or resumes the search that is there; with search.front none is
    searched for, and the given one is measured.

    config: the name of the search's config, for the front to say. The vectors and scores are the same for
    every number of workers, and after being cut short at any moment. ray_address: of a running Ray cluster,
    all of whose cores are used if n_workers is not given.
    Raises InputError for a mistake in the input.
    """
    prepare_process()
    show = show or SearchShown()
    with open_directory(out, search, experiment, resume=resume) as directory:
        begin_wall_s = time.perf_counter() - float(directory.status()["wall_s"])
        objective = before_snapshots(search, experiment)
        given = _given(objective)
        if given is not None:
            objective = dataclasses.replace(objective, search=_measuring(search, given))
        objective = objective.with_snapshots()
        directory.begin()
        with open_workers(objective, n_workers, show.scored, ray_address) as workers:
            if given is None:
                show.begin(search)
                found = _explore(directory, objective, workers, begin_wall_s, show)
                entries, fresh = _reevaluate(directory, objective, workers, found, show)
                write, stopped = partial(searched_front, found, entries), found.stopped
            else:
                show.measuring(2 * len(given.entries))
                fresh = _measure(directory, objective, workers, given)
                write, stopped = partial(measured_front, given), "measured"
        wall_s = round(time.perf_counter() - begin_wall_s, 3)
        front = write(experiment, objective, fresh, {"config": config, "wall_s": wall_s})
        front.save(directory.front)
        directory.write_status(wall_s=wall_s, stopped=stopped)
        return front, fresh.comparison


def _given(objective: Objective) -> Front | None:
    """The front to measure; None where one is searched for. Raises InputError if it is not the network's."""
    option, task = objective.search.front, objective.task
    if option is None:
        return None
    try:
        return front_of(option, objective.method.drop_linear, task.module, task.structure)
    except InputError as error:
        text = str(error).replace("method.front={uniform: 16}", "front.uniform=16")
        raise InputError(text.replace("set method.", "set experiment.method.")) from error


def _measuring(search: Search, given: Front) -> Search:
    """The settings to measure a front with: after its shares of the steps too, by what it was made for."""
    shares = sorted({*search.shares, *(entry.share for entry in given.entries)})
    costs = "macs_and_memory" if given.has_memory else "macs"
    return search.model_copy(update={"shares": tuple(shares), "costs": costs})


def _explore(
    directory: SearchDirectory, objective: Objective, workers: Workers, begin_wall_s: float, show: SearchShown
) -> Exploration:
    archive = Archive(directory.evaluations, objective.space)
    rows: list[Generation] = []

    def on_generation(row: Generation) -> None:
        rows.append(row)
        directory.write_generations(rows)
        directory.write_status(wall_s=round(time.perf_counter() - begin_wall_s, 3))
        show.generation(row)

    def out_of_time() -> bool:
        limit_s = objective.search.wall_s
        over = limit_s is not None and time.perf_counter() - begin_wall_s >= limit_s
        return over and archive.n_added > 0  # the vectors of the file are replayed first

    evaluate = archive.filling(workers("search"))
    return explore(objective.space, objective.search, evaluate, on_generation, out_of_time)


def _reevaluate(
    directory: SearchDirectory, objective: Objective, workers: Workers, found: Exploration, show: SearchShown
) -> tuple[dict[Pair, Score], Reevaluation]:
    """The entries of the front, and their fresh scores.

    Of a front over vectors and steps only those thinned entries stay that the fresh scores confirm.
    """
    search, space = objective.search, objective.space
    entries = table_of(space, found.scores, search.over, search.entries)
    show.reevaluation(2 * len(entries))
    evaluate = Archive(directory.reevaluation, space).filling(workers("reevaluation"))

    def again(table: Mapping[Pair, Score]) -> Reevaluation:
        rng, fastest = Rngs(search.seed)("bootstrap"), fastest_of(space, table)
        return reevaluate(space, list(table), evaluate, rng, fastest, len(entries))

    fresh = again(entries)
    if search.over == "vectors" or search.costs != "macs":
        return entries, fresh
    table = confirmed(space, found.scores, entries, fresh.sure)
    return table, again(table)


def _measure(
    directory: SearchDirectory, objective: Objective, workers: Workers, given: Front
) -> Reevaluation:
    """The fresh scores of a given front."""
    evaluate = Archive(directory.reevaluation, objective.space).filling(workers("reevaluation"))
    found, fastest = (
        [Pair(entry.counts, entry.share) for entry in front.entries] for front in (given, given.fastest)
    )
    uniform = [entry.counts for entry in given.entries] if given.is_uniform else None
    rng = Rngs(objective.search.seed)("bootstrap")
    return reevaluate(objective.space, found, evaluate, rng, fastest, uniform=uniform)
