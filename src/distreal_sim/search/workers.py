"""Where candidates are scored: in this process, or as Ray tasks; with the same result."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray

from distreal_sim.errors import InputError
from distreal_sim.grids.cluster import ray_instance
from distreal_sim.process import prepare_process
from distreal_sim.search.explore import Evaluate
from distreal_sim.search.objective import Objective, Score, Stream
from distreal_sim.types import Counts

Workers = Callable[[Stream], Evaluate]
"""How candidates are scored with the seeds of a stream."""

_resident: dict[str, Objective] = {}
"""The objective of this worker process, by the key of its search; a worker keeps one."""


@contextlib.contextmanager
def open_workers(
    objective: Objective, n_workers: int, on_score: Callable[[], None] = lambda: None
) -> Iterator[Workers]:
    """n_workers processes that end with the block; one worker is this process itself.

    on_score is called for every candidate once it and those before it are scored. A task whose worker died
    is done again by Ray. Raises InputError when Ray cannot start.
    """
    if n_workers == 1:

        def here(stream: Stream) -> Evaluate:
            return lambda asked: _counted((objective.score(counts, stream) for counts in asked), on_score)

        yield here
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(ray_instance(n_workers))
        except InputError as error:
            raise InputError(str(error).replace("--grid serial", "--workers 1")) from error
        stored = ray.put(objective)

        def there(stream: Stream) -> Evaluate:
            return lambda asked: _counted(_results(stored, asked, stream), on_score)

        yield there


def _counted(scores: Iterator[Score], on_score: Callable[[], None]) -> Iterator[Score]:
    for score in scores:
        on_score()
        yield score


def _results(stored: Any, asked: Sequence[Counts], stream: Stream) -> Iterator[Score]:
    task = ray.remote(num_cpus=1, max_retries=3)(_score)
    # In a list the reference travels as it is, so that a worker fetches the objective once, not per task.
    references = [task.remote([stored], counts, stream) for counts in asked]
    for reference in references:
        yield ray.get(reference)


def _score(stored: list[Any], counts: Counts, stream: Stream) -> Score:
    key = stored[0].hex()
    if key not in _resident:
        prepare_process()
        _resident.clear()
        _resident[key] = ray.get(stored[0])
    return _resident[key].score(counts, stream)
