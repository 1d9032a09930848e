"""What runs came to: their table, and their figure."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.text import counted
from distreal_sim.results import plots
from distreal_sim.results.compare import compare
from distreal_sim.results.directories import find_runs
from distreal_sim.results.fleets import different_fleets, level_1_of
from distreal_sim.results.protocols import cost, points, quality, robust
from distreal_sim.results.runs import Metric, Run
from distreal_sim.results.statistics import check_target, time_to_accuracy

if TYPE_CHECKING:
    from distreal_sim.results.plots import Figure

Directories = str | Path | Iterable[str | Path]

FRONT = "front.json"
"""Of the directory of a search."""


def table(
    directories: Directories,
    targets: Sequence[float] | None = None,
    baseline: str | None = None,
    metric: Metric = "trained",
    n_last: int = 1,
    y: str | None = None,
) -> pd.DataFrame:
    """Final accuracy and time to accuracy per method: mean and 95 % interval over seeds; in a sweep ranks.

    directories: runs, or folders of them. targets: accuracies to reach; by default the sweep's, or round
    numbers that are in reach. baseline: the method that the others are compared with, seed by seed; by
    default the sweep's. metric, n_last, y: see `load_runs`. Raises InputError where there is no run.
    """
    runs = _compared(directories, metric, n_last, y)
    if baseline is not None or runs[0].place is not None:
        return compare(runs, targets or None, baseline)
    return time_to_accuracy(runs, targets or None)


def judge(
    directories: Directories,
    protocol: Literal["quality", "cost", "robust"],
    budget: Sequence[str] = (),
    targets: Sequence[float] | None = None,
    hold: int = 2,
    baseline: str | None = None,
    nominal: str | None = None,
    metric: Metric = "trained",
    n_last: int = 1,
    y: str | None = None,
) -> tuple[pd.DataFrame, str]:
    """A table that compares finished runs by quality and cost together, and its title.

    directories: runs, or folders of them. protocol: `quality`, the best score within a budget; `cost`, the
    costs to a target; `robust`, what is kept of the score in other settings than the nominal one. budget:
    COST=LIMIT texts, for quality; targets: one accuracy, for cost, and for robust where the time to it is
    wanted; hold: tests in a row that must have the target; baseline: the label that the ratios refer to;
    nominal: the setting that robust compares with. metric, n_last, y: see `load_runs`.
    Raises InputError where one that the protocol needs is missing.
    """
    runs = _compared(directories, metric, n_last, y)
    place = runs[0].place
    baseline = baseline or (place.baseline if place is not None else None)
    targets = targets or (place.targets if place is not None else ())
    found, lower, y = points(runs), runs[0].lower, runs[0].y
    if protocol == "quality":
        limits = dict(_limit(text) for text in budget)
        return quality(found, limits, lower), f"best {y} within {', '.join(budget)}"
    if protocol == "cost":
        if not targets:
            raise InputError("--protocol cost needs a --target, for example 0.8")
        article = "an" if y[0] in "aeiou" else "a"
        title = (
            f"medians of the costs to {article} {y} of {targets[0]:g}, held for {counted(hold, 'evaluation')}"
        )
        check_target(targets[0], y, runs)
        return cost(found, targets[0], hold, baseline, lower), title
    settings = list(dict.fromkeys(found["setting"]))
    if nominal is None:
        raise InputError(f"--protocol robust needs a --nominal setting, one of: {'; '.join(settings)}")
    target = targets[0] if targets else None
    title = f"final {y} beside that under {nominal}"
    return robust(found, nominal, target, hold, n_last, lower), title


def _limit(text: str) -> tuple[str, float]:
    key, _, value = text.partition("=")
    try:
        return key, float(value)
    except ValueError:
        raise InputError(f"--budget {text} must be COST=LIMIT, for example sim_s=3600") from None


def plot(
    directories: Directories,
    x: Literal["sim_s", "round", "macs", "upload_bytes", "energy_j"] = "sim_s",
    targets: Sequence[float] | None = None,
    metric: Metric = "trained",
    out: str | Path | None = None,
    kind: str = "accuracy",
    y: str | None = None,
    band: Literal["ci", "std", "range", "none"] = "ci",
    against: str | None = None,
) -> Figure:
    """Accuracy against simulated time, a line per method, mean and 95 % band over seeds; or another figure.

    The runs of a sweep get a panel for each of its settings. directories: runs, or folders of them, or one
    front file, or the directory of a search. targets: values to mark, by default the sweep's. metric, y: see
    `load_runs`. out: a .png, .pdf or .svg. kind: `accuracy`, or the score y; `timeline`, who works when in
    the first rounds; `participation`, shares of the clients whose work counts, over the rounds; `work`, the
    MACs that slow, middle and fast devices offered, used and saw counted; `clients`, the scores by class of
    device and client by client; `classes`, the accuracy in each class of the test examples; `to_target`,
    time, MACs, bytes and joules until the first of `targets`; `capacity`, of one client; `front`, the dropout
    vectors; `against`, the final score at each value of a swept key. band: around a mean, its 95 % interval,
    the standard deviation of the seeds, all seeds, or nothing. against: the key of that figure, in full or
    its last part, by default the first that is swept. x is for accuracy. Raises InputError where there is no
    run.
    """
    place_of = None if out is None else Path(out)
    front = front_of(directories)
    if front is not None:
        from distreal_sim.results.plots.front import front_file

        return front_file(front, place_of)
    runs = _compared(directories, metric, y=y)
    if kind == "against" or against is not None:
        from distreal_sim.results.plots.against import against as draw_against

        return draw_against(runs, against, place_of, band)
    place = runs[0].place
    marked = targets or (place.targets if place is not None else ())
    if kind == "to_target":
        from distreal_sim.results.plots.to_target import to_target

        return to_target(runs, marked[0] if marked else None, place_of)
    if kind != "accuracy":
        return draw(kind, runs, out)
    from distreal_sim.results.plots.accuracy import accuracy  # matplotlib takes a second to import

    return accuracy(runs, x=x, targets=marked, out=place_of, band=band)


def front_of(directories: Directories) -> Path | None:
    """The front file that this is or, for the directory of a search, that lies in it; None for runs."""
    if not isinstance(directories, str | Path):
        return None
    one = Path(directories)
    if one.suffix == ".json":
        return one
    is_search = (one / FRONT).is_file() and not (one / "run.json").exists()  # runs keep their front, too
    return one / FRONT if is_search else None


def draw(kind: str, runs: Sequence[Run], out: str | Path | None = None) -> Figure:
    """The figure `kind` of the runs. Raises InputError for a name that is none."""
    if kind not in plots.names():
        raise unknown("kind of figure", kind, plots.names())
    module = importlib.import_module(f"{plots.__name__}.{kind}")
    figure: Figure = getattr(module, kind)(runs, out=None if out is None else Path(out))
    return figure


def _compared(directories: Directories, metric: Metric, n_last: int = 1, y: str | None = None) -> list[Run]:
    """The runs; on stderr a warning where their fleets differ."""
    tops = [directories] if isinstance(directories, str | Path) else directories
    runs = find_runs([Path(top) for top in tops], metric, n_last, y)
    for line in different_fleets(level_1 for run in runs if (level_1 := level_1_of(run)) is not None):
        print(line, file=sys.stderr)
    return runs
