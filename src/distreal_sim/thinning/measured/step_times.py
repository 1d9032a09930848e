"""The time of a step from its work: t = the sum over kinds of layers of a calls + b MACs + c bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.measured.work import KINDS, Amount, Work

Term = Literal["call_s", "mac_s", "byte_s"]

TERMS: tuple[Term, ...] = ("call_s", "mac_s", "byte_s")

MACS_ALONE: tuple[Term, ...] = ("mac_s",)
"""For the fit beside which all terms are seen."""

StepTimes = Mapping[str, Mapping[Term, float]]
"""By kind of layer: seconds of a pass, of a MAC, and of a byte that it puts out; 0 what is left out."""

NOTHING = Amount(0, 0, 0)


class Errors(NamedTuple):
    """Of |predicted / measured - 1|: the median and the 90th percentile."""

    median: float
    p90: float


def predicted_s(times: StepTimes, work: Work) -> float:
    """Seconds of a step. Raises InputError for a kind of layer without times."""
    lacking = [kind for kind, amount in work.items() if kind not in times and any(amount)]
    if lacking:
        raise InputError(
            f"there are no times of layers of the kind {lacking[0]}; calibrate with a --model that has them"
        )
    return float(
        sum(
            value * times[kind].get(term, 0.0)
            for kind, amount in work.items()
            if kind in times
            for term, value in zip(TERMS, amount, strict=True)
        )
    )


def fit(
    works: Sequence[Work], seconds: Sequence[float], terms: Collection[Term] = TERMS
) -> dict[str, dict[Term, float]]:
    """The times of least squared relative errors, none negative; of the kinds that occur.

    terms: those that are fitted; the others are 0.
    """
    from scipy.optimize import nnls  # here, because it would take a thirteenth of every start

    kinds = [kind for kind in KINDS if any(any(work.get(kind, NOTHING)) for work in works)]
    amounts = np.array([[work.get(kind, NOTHING) for kind in kinds] for work in works], float)
    amounts *= [term in terms for term in TERMS]
    relative = amounts.reshape(len(works), -1) / np.asarray(seconds)[:, None]
    scale = np.maximum(relative.max(axis=0), np.finfo(float).tiny)  # so that no column is tiny beside another
    found, _ = nnls(relative / scale, np.ones(len(works)))
    return {
        kind: dict(zip(TERMS, own, strict=True))
        for kind, own in zip(kinds, (found / scale).reshape(-1, 3).tolist(), strict=True)
    }


def errors(times: StepTimes, works: Sequence[Work], seconds: Sequence[float]) -> Errors:
    """How far predicted times are from measured ones."""
    predicted = np.array([predicted_s(times, work) for work in works])
    off = np.abs(predicted / np.asarray(seconds) - 1)
    return Errors(float(np.median(off)), float(np.quantile(off, 0.9)))
