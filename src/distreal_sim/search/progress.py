"""What a search shows: its progress while it goes on, and lines at its end."""

from __future__ import annotations

from collections.abc import Callable

from distreal_sim.base.progress import Silent
from distreal_sim.fronts.front import Front
from distreal_sim.search.explore import Generation
from distreal_sim.search.reevaluate import Comparison
from distreal_sim.search.settings import Search


class SearchShown:
    """Is told how a search goes on, and shows it."""

    def __init__(self, progress: Silent | None = None) -> None:
        self._progress = progress or Silent()
        self._n_scored, self._facts, self._what = 0, "", "search"

    def begin(self, search: Search) -> None:
        """The search begins."""
        self._total = min(search.evaluations, search.population * search.generations)
        self._progress.begin(self._what, self._total)

    def scored(self) -> None:
        """A candidate was scored."""
        self._n_scored += 1
        self._show()
        self._progress.line(
            lambda: f"{self._what}: {self._n_scored} of {self._total} vectors tried{self._facts}"
        )

    def generation(self, row: Generation) -> None:
        """A generation is complete; one that was played again from the archive counts as done."""
        self._n_scored = row.evaluations
        self._facts = f", generation {row.generation}, hypervolume {row.hypervolume:.4f}"
        self._show()

    def reevaluation(self, n: int) -> None:
        """The search is over; at most n vectors are scored on fresh seeds."""
        over = f"search: over after {self._n_scored} vectors{self._facts}"
        self._progress.line(lambda: over, pressing=True)
        self._n_scored, self._total, self._what, self._facts = 0, n, "fresh seeds", ""
        self._progress.begin(self._what, n)

    def _show(self) -> None:
        self._progress.update(self._n_scored, self._facts.removeprefix(", "))


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
