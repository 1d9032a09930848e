"""The tables of a comparison, from one record per run."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

OURS = "distreal-sim, 2 workers"
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


@dataclass(frozen=True)
class Run:
    """One run of one contender.

    round_wall_s: mean over the rounds but the first and the last, tests included; median_wall_s: their
    median; pss_bytes: peak.
    """

    turn: int
    workload: str
    contender: str
    round_wall_s: float
    median_wall_s: float
    whole_wall_s: float
    pss_bytes: int
    test_loss: float
    test_accuracy: float


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """One row a run."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Run)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(run) for run in runs)


def read_csv(path: Path) -> list[Run]:
    """What `write_csv` wrote."""
    kinds = {f.name: {"int": int, "float": float, "str": str}[str(f.type)] for f in fields(Run)}
    with path.open() as file:
        return [
            Run(**{name: kinds[name](value) for name, value in row.items()}) for row in csv.DictReader(file)
        ]


def ratios(runs: Sequence[Run], workload: str, contender: str, quantity: str = "round_wall_s") -> list[float]:
    """Ours divided by the contender's, of every turn that has both."""

    def by_turn(who: str) -> dict[int, float]:
        mine = [r for r in runs if r.workload == workload and r.contender == who]
        return {r.turn: float(getattr(r, quantity)) for r in mine}

    ours, other = by_turn(OURS), by_turn(contender)
    return [ours[turn] / other[turn] for turn in sorted(ours.keys() & other.keys())]


def table(runs: Sequence[Run], workload: str) -> str:
    """A workload's contenders in the order of their first run; medians over the turns."""
    mine = [r for r in runs if r.workload == workload]
    unit, factor = ("ms", 1e3) if median(r.round_wall_s for r in mine) < 0.1 else ("s", 1.0)
    heads = ["contender", f"round, {unit}", "ours / it", "whole run, s", "ours / it", "memory, GiB"]
    heads += ["test loss", "accuracy", "turns"]
    lines = [heads, ["---"] * len(heads)]
    for contender in dict.fromkeys(r.contender for r in mine):
        own = [r for r in mine if r.contender == contender]

        def mid(quantity: str, own: Sequence[Run] = own) -> float:
            return median(float(getattr(r, quantity)) for r in own)

        lines.append(
            [
                contender,
                f"{factor * mid('round_wall_s'):.2f}",
                spread(ratios(runs, workload, contender)),
                f"{mid('whole_wall_s'):.1f}",
                spread(ratios(runs, workload, contender, "whole_wall_s")),
                f"{mid('pss_bytes') / 2**30:.2f}",
                number(mid("test_loss"), 3),
                number(mid("test_accuracy"), 3),
                str(len(own)),
            ]
        )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def median_rounds(runs: Sequence[Run], workload: str) -> str:
    """The ratios of the median rounds, in words; empty where there is nothing to compare."""
    mine = [r for r in runs if r.workload == workload]
    medians = {
        contender: ratios(mine, workload, contender, "median_wall_s")
        for contender in dict.fromkeys(r.contender for r in mine)
        if contender != OURS
    }
    known = {who: values for who, values in medians.items() if values and not any(map(math.isnan, values))}
    parts = [f"{who} {spread(values)}" for who, values in known.items()]
    return "Ours / it by the median round, which holds no test: " + "; ".join(parts) + "." if parts else ""


def number(value: float, digits: int) -> str:
    """NaN, of a contender that does not test a trained model, is a dash."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def spread(values: Sequence[float]) -> str:
    """Median, and the smallest and the largest of several."""
    if not values:
        return "-"
    text = f"{median(values):.2f}" if median(values) >= 0.1 else f"{median(values):.3f}"
    return text if len(values) == 1 else f"{text} ({min(values):.3g} to {max(values):.3g})"


def insert(document: Path, text: str) -> None:
    """Puts the text between the two marks of a document, in place of what stood there."""
    whole = document.read_text()
    if whole.count(BEGIN) != 1 or whole.count(END) != 1:
        raise SystemExit(f"{document}: needs one line {BEGIN} and, below it, one line {END}")
    before, rest = whole.split(BEGIN)
    _, after = rest.split(END)
    document.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}")
