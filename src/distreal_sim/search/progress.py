"""What a search shows: its progress while it goes on, and lines at its end."""

from __future__ import annotations

import math
from collections.abc import Callable

from distreal_sim.base.progress import Silent
from distreal_sim.base.text import counted
from distreal_sim.fronts.fresh import thinning_pays
from distreal_sim.fronts.front import Front, gap_line
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
        over = f"search: over after {counted(self._n_scored, 'vector')}{self._facts}"
        self._progress.line(lambda: over, pressing=True)
        self.measuring(n)

    def measuring(self, n: int) -> None:
        """At most n vectors are scored on fresh seeds."""
        self._n_scored, self._total, self._what, self._facts = 0, n, "fresh seeds", ""
        self._progress.begin(self._what, n)

    def _show(self) -> None:
        self._progress.update(self._n_scored, self._facts.removeprefix(", "))


def summary(front: Front, comparison: Comparison, say: Callable[[str], None]) -> None:
    """A few lines on a finished search, or on a front that was measured."""
    c = comparison
    if "measured" in front.made:
        say(f"{counted(len(front.entries), 'entry', 'entries')} measured: {front.origin}")
    else:
        say(f"{counted(front.made['evaluations'], 'vector')} tried, stopped by: {front.made['stopped']}")
    if front.has_memory:
        n_fastest, n_entries = len(front.fastest.entries), len(front.entries)
        say(
            f"front of MACs, peak memory and score: {n_fastest} of {n_entries} entries for clients with "
            "memory for all of them, the others for less"
        )
    if math.isnan(c.found):
        say("the full network makes no progress from these snapshots, so that nothing can be compared")
        return
    say(f"hypervolume on fresh seeds, found:   {_of(c.found, c.found_interval)}, {_entries(c.n_found)}")
    if not front.is_uniform:
        uniform = _of(c.uniform, c.uniform_interval)
        say(f"                            uniform: {uniform}, {_entries(c.n_uniform)}")
    fewer = _of(c.fewer_steps, c.fewer_steps_interval)
    say(f"                   fewer full steps: {fewer}, at the costs of the found entries")
    say(f"                the better of these: {_of(c.better, c.better_interval)}")
    if not front.is_uniform:
        _gain("uniform rates", c.gain, c.gain_interval, say)
    both = "the better of uniform rates and fewer full steps"
    _gain(both, c.gain_over_better, c.gain_over_better_interval, say)
    for line in thinning_pays(front.made, front.thins):
        say(line)
    if front.wide_gap is not None:
        helps = "" if "measured" in front.made else ": more repeats and evaluations may find some"
        say(f"{gap_line(*front.wide_gap)}{helps}")


def _gain(over: str, gain: float, interval: tuple[float, float], say: Callable[[str], None]) -> None:
    low, high = interval
    say(f"gain over {over}: {100 * gain:+.1f} %, 95 % interval {100 * low:+.1f} % to {100 * high:+.1f} %")


def _of(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"


def _entries(n: int) -> str:
    return counted(n, "entry", "entries")
