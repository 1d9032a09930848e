"""Output of a search: a bar on a terminal while it runs, a table at its end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from distreal_sim.base.progress import Paced
from distreal_sim.fronts.front import Front
from distreal_sim.search.explore import Generation
from distreal_sim.search.reevaluate import Comparison
from distreal_sim.search.settings import Search


class Quiet:
    """Shows nothing."""

    def scored(self) -> None:
        """A candidate was scored."""

    def generation(self, row: Generation) -> None:
        """A generation is complete."""

    def reevaluation(self, n: int) -> None:
        """The search is over; at most n vectors are scored on fresh seeds."""


class Bar(Quiet):
    """A bar over the evaluations, with the time left, generation and hypervolume."""

    def __init__(self, progress: Progress, search: Search) -> None:
        self._progress = progress
        total = min(search.evaluations, search.population * search.generations)
        self._task = progress.add_task("search", total=total, facts="")

    def scored(self) -> None:
        self._progress.advance(self._task)

    def generation(self, row: Generation) -> None:
        # A generation that was played again from the archive counts as done.
        facts = f"generation {row.generation}  hypervolume {row.hypervolume:.4f}"
        self._progress.update(self._task, completed=row.evaluations, facts=facts)

    def reevaluation(self, n: int) -> None:
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task("fresh seeds", total=n, facts="")


class Lines(Quiet):
    """A line now and then, and one when the search is over."""

    def __init__(self, search: Search, paced: Paced) -> None:
        self._paced, self._n_scored, self._facts = paced, 0, ""
        self._total, self._what = min(search.evaluations, search.population * search.generations), "search"

    def scored(self) -> None:
        self._n_scored += 1
        self._paced.line(f"{self._what}: {self._n_scored} of {self._total} vectors tried{self._facts}")

    def generation(self, row: Generation) -> None:
        self._n_scored = row.evaluations
        self._facts = f", generation {row.generation}, hypervolume {row.hypervolume:.4f}"

    def reevaluation(self, n: int) -> None:
        self._paced.line(f"search: over after {self._n_scored} vectors{self._facts}", pressing=True)
        self._n_scored, self._total, self._what, self._facts = 0, n, "fresh seeds", ""


@contextlib.contextmanager
def progress_bar(search: Search, quiet: bool) -> Iterator[Quiet]:
    """Draws on stderr: a bar on a terminal, elsewhere a line now and then."""
    if quiet:
        yield Quiet()
        return
    if not sys.stderr.isatty():
        yield Lines(search, Paced())
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}  left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield Bar(bar, search)


def summary(front: Front, comparison: Comparison, say: Callable[[str], None]) -> None:
    """A few lines on a finished search."""
    c = comparison
    say(f"{front.made['evaluations']} vectors tried, stopped by: {front.made['stopped']}")
    say(f"hypervolume on fresh seeds, found:   {_of(c.found, c.found_interval)}, {c.n_found} entries")
    say(f"                            uniform: {_of(c.uniform, c.uniform_interval)}, {c.n_uniform} entries")
    low, high = c.gain_interval
    say(f"gain over uniform rates: {c.gain:+.1%}, 95 % interval {low:+.1%} to {high:+.1%}")


def _of(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"
