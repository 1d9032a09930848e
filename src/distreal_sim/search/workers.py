"""Where candidates are scored: in this process, or as Ray tasks; with the same result."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray

from distreal_sim.base.errors import InputError
from distreal_sim.base.process import n_cores, prepare_process
from distreal_sim.grids.ray.cluster import ray_instance, room_for
from distreal_sim.grids.ray.team import LOST, WorkersDiedError, last_line
from distreal_sim.search.explore import Evaluate
from distreal_sim.search.objective import Objective
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Stream
from distreal_sim.thinning.structure import Counts

Workers = Callable[[Stream], Evaluate]
"""How candidates are scored with the seeds of a stream."""

MAX_RETRIES = 3
"""How often Ray does a task again whose worker died."""

_resident: dict[str, Objective] = {}
"""The objective of this worker process, by the key of its search; a worker keeps one."""


@contextlib.contextmanager
def open_workers(
    objective: Objective,
    n_workers: int | None,
    on_score: Callable[[], None] = lambda: None,
    ray_address: str | None = None,
) -> Iterator[Workers]:
    """n_workers processes that end with the block; one worker is this process itself.

    ray_address: of a running Ray cluster, whose machines score instead, n_workers candidates at a time, or as
    many as it has cores. Without it n_workers not given means as many as this process may use cores.
    on_score is called for every candidate once it and those before it are scored. A task whose worker died
    is done again by Ray. Raises InputError when Ray cannot start.
    """
    if ray_address is None:
        n_workers = n_workers or n_cores()
    if n_workers == 1 and ray_address is None:

        def here(stream: Stream) -> Evaluate:
            return lambda asked: _counted((objective.score(counts, stream) for counts in asked), on_score)

        yield here
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(ray_instance(n_workers or 1, ray_address))
        except InputError as error:
            raise InputError(str(error).replace("--grid serial", "--workers 1")) from error
        if not room_for(1):
            where = "" if ray_address is None else f"--ray-address {ray_address}: "
            raise InputError(f"{where}Ray counts no core on any machine")
        stored = ray.put(objective)

        def there(stream: Stream) -> Evaluate:
            return lambda asked: _counted(_results(stored, asked, stream, at_once), on_score)

        at_once = n_workers or room_for(1)
        yield there


def _counted(scores: Iterator[Score], on_score: Callable[[], None]) -> Iterator[Score]:
    for score in scores:
        on_score()
        yield score


def _results(stored: Any, asked: Sequence[Counts], stream: Stream, at_once: int) -> Iterator[Score]:
    """The scores in the order asked for; at most at_once tasks at a time."""
    task = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(_score)
    left, references, running = deque(asked), deque[Any](), list[Any]()
    while left or references:
        while left and len(running) < at_once:
            # In a list the reference travels as it is: a worker fetches the objective once, not per task.
            references.append(task.remote([stored], left.popleft(), stream))
            running.append(references[-1])
        _, running = ray.wait(running, num_returns=1)
        while references and references[0] not in running:
            yield _result(references.popleft())


def _result(reference: Any) -> Score:
    try:
        score: Score = ray.get(reference)
        return score
    except LOST as error:
        message = f"a worker died {MAX_RETRIES + 1} times while it was scoring: {last_line(error)}"
        raise WorkersDiedError(message, str(error)) from None


def _score(stored: list[Any], counts: Counts, stream: Stream) -> Score:
    key = stored[0].hex()
    if key not in _resident:
        prepare_process()
        _resident.clear()
        _resident[key] = ray.get(stored[0])
    return _resident[key].score(counts, stream)
