"""What the file of a front says about its worth: lines on what was measured on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distreal_sim.base.text import counted
from distreal_sim.fronts.bundled import same_data

DRAWN = ("filters", "resample", "scaling")
"""Options of the method that are part of what is scored."""

Made = Mapping[str, Any]
"""Front.made: `reevaluation` holds the measurements, where there are any. They are of the search that made
the front; or, where a given front was measured, of what `measured` says.
"""


def gains(made: Made) -> list[str]:
    """Hypervolume against what is simpler; nothing where none was measured."""
    fresh = _part(made, "reevaluation")
    both = "the better of uniform rates and fewer full steps"
    told = (("uniform", "gain", "uniform rates"), ("better", "gain_over_better", both))
    lines = []
    for rival, gain, name in told:
        if fresh.get(gain) is not None:
            low, high = fresh[f"{gain}_interval"]
            lines.append(
                f"hypervolume {fresh['found']:.4f}, {name} {fresh[rival]:.4f}: {100 * fresh[gain]:+.1f} %, "
                f"95 % interval {100 * low:+.1f} % to {100 * high:+.1f} %"
            )
    return lines


def where_it_pays(made: Made) -> str | None:
    """Whether and where thinned steps are worth more than fewer full ones; None where that is not known."""
    worth = _worth(made)
    return f"{_pays(worth)}{_training(made)}" if worth else None


def where_it_loses(made: Made) -> str | None:
    """Where a front lies below fewer full steps; None where nowhere, or where that is not known."""
    worth = _worth(made)
    if not worth or not worth["loses"]:
        return None
    return f"lies below fewer full steps {_ranges(worth['loses'])}{_training(made)}"


def is_measured(made: Made) -> bool:
    """Whether a comparison with fewer full steps was made, also where all of these made no progress."""
    return "thinning" in _part(made, "reevaluation")


def is_of_one_score(made: Made) -> bool:
    """Whether the entries have the scores of a search by the score that they were measured by."""
    return _part(made, "search").get("score") == _part(_origin(made), "search").get("score")


def searched_otherwise(made: Made, dataset: Made, method: Made) -> dict[str, tuple[Any, Any]]:
    """By key what the search had and the run has, where the entries were scored with other data or filters.

    dataset, method: the run's, plain values. Nothing where the file does not say.
    """
    return _otherwise(made, dataset, method)


def measured_otherwise(made: Made, dataset: Made, method: Made) -> dict[str, tuple[Any, Any]]:
    """The same of the comparison with fewer full steps."""
    return _otherwise(_origin(made), dataset, method)


def _otherwise(origin: Made, dataset: Made, method: Made) -> dict[str, tuple[Any, Any]]:
    experiment = _part(origin, "experiment")
    before, here = same_data(_part(experiment, "dataset")), same_data(dataset)
    drawn = _part(experiment, "method")
    differs = {
        f"dataset.{key}": (before[key], here.get(key)) for key in before if before[key] != here.get(key)
    }
    if "dataset.name" in differs:
        differs = {"dataset.name": differs["dataset.name"]}
    keys = [key for key in DRAWN if key in drawn and key in method and drawn[key] != method[key]]
    return {**differs, **{f"method.{key}": (drawn[key], method[key]) for key in keys}}


def thinning_pays(made: Made, thins: bool) -> list[str]:
    """Whether thinned steps are worth more than fewer full ones, and how much: of all snapshots, of each.

    thins: whether the front has thinned entries.
    """
    fresh = _part(made, "reevaluation")
    if not (worth := _worth(made)):
        return []
    if not thins:
        return ["no entry is thinned: clients take fewer full steps, as with overrun=partial"]
    best = worth["best"]
    sure = f"{_pays(worth)}{_training(made)}"
    if worth["pays_in_the_mean"] not in (worth["pays"], []):
        sure += f" (in the mean {_ranges(worth['pays_in_the_mean'])})"
    lines = [f"{sure}; against fewer full steps at best {_difference(best)}"]
    if (below := where_it_loses(made)) is not None:
        lines.append(f"the front {below}, at worst {_difference(worth['worst'])}")
    for stage in fresh.get("thinning_by_snapshot", []):
        lines.append(f"from the snapshot after {stage['steps']} steps: {_of_stage(stage)}")
    return lines


def how_measured(made: Made) -> str | None:
    """With which settings a given front was measured; None where it was not, or the file does not say."""
    measured = _part(made, "measured")
    search, method = _part(measured, "search"), _part(_part(measured, "experiment"), "method")
    try:
        seeds, snapshots = counted(search["reevaluation"], "seed"), " ".join(map(str, search["snapshots"]))
        steps, filters = counted(search["steps"], "step"), method["filters"]
        return f"score {search['score']}, {steps} from snapshots {snapshots}, {seeds}, {filters} filters"
    except (KeyError, TypeError):
        return None


def _worth(made: Made) -> Made | None:
    """The comparison with fewer full steps; None where none was made, or all steps make no progress."""
    worth = _part(_part(made, "reevaluation"), "thinning")
    return worth if worth.keys() >= {"pays", "pays_in_the_mean", "loses", "best", "worst"} else None


def _origin(made: Made) -> Made:
    """What says with which `search` settings, for which `experiment`, the measurements were made."""
    return _part(made, "measured") or made


def _part(made: Made, key: str) -> Made:
    """A part of it, empty where there is none."""
    part = made.get(key)
    return part if isinstance(part, Mapping) else {}


def _training(made: Made) -> str:
    """The training in which that was measured, in words; nothing where the file does not say."""
    score = _part(_origin(made), "search").get("score")
    return {"central": " in central training", "federated": " in a round of a fleet"}.get(str(score), "")


def _pays(worth: Made) -> str:
    return f"thinning pays {_ranges(worth['pays'])}" if worth["pays"] else "thinning never pays"


def _of_stage(stage: Made) -> str:
    return _pays(stage["thinning"]) if stage["thinning"] else "the full network makes no progress"


def _ranges(ranges: Sequence[Sequence[float]]) -> str:
    """Of relative MACs, in words."""
    return f"{' and '.join(_spans(ranges))} of the MACs"


def _spans(ranges: Sequence[Sequence[float]]) -> Iterator[str]:
    for low, high in ranges:
        first, last = (f"{100 * share:.3g}" for share in (low, high))
        yield f"at {first} %" if first == last else f"from {first} to {last} %"


def _difference(difference: Made) -> str:
    low, high = difference["interval"]
    where = f"at {100 * difference['relative_macs']:.3g} % of the MACs"
    return (
        f"{difference['value']:+.2f} of the full network's progress {where} "
        f"(95 % interval {low:+.2f} to {high:+.2f})"
    )
