"""The candidates that were scored, after every measured share of the steps, in a file: a search's checkpoint.

A search is a function of its settings and of the scores, so nothing else need be kept: a resumed search is
replayed from its start, and the scores in the file are not computed again.
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distreal_sim.base.errors import InputError
from distreal_sim.base.files import naming
from distreal_sim.search.explore import Evaluate
from distreal_sim.search.score import Score
from distreal_sim.search.space import Space
from distreal_sim.thinning.structure import Counts


class Archive:
    """A JSON-lines file, one candidate a line, synced line by line; opening it cuts off a torn last line.

    n_added: lines added since it was opened.
    """

    def __init__(self, path: Path, space: Space) -> None:
        self.path, self._space, self.n_added = path, space, 0
        self.scores: dict[Counts, Score] = {}
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                data = json.loads(line)
                counts = tuple(operator.index(n) for n in data["counts"])
                fewer = tuple((float(after["share"]), _score(after)) for after in data["fewer"])
                self.scores[counts] = Score(_score(data).drops, fewer)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}, line {number}: not a scored vector: {error}") from None
        if whole != content:
            os.truncate(path, len(whole))

    def filling(self, evaluate: Evaluate) -> Evaluate:
        """`evaluate` that looks here first, and writes new scores down, in the order asked for."""

        def look_up(asked: Sequence[Counts]) -> Iterator[Score]:
            computed = iter(evaluate([counts for counts in asked if counts not in self.scores]))
            for counts in asked:
                if counts not in self.scores:
                    self._add(counts, next(computed))
                yield self.scores[counts]

        return look_up

    def _add(self, counts: Counts, score: Score) -> None:
        line = {
            "counts": counts,
            "relative_macs": self._space.relative_macs(counts),
            **self._space.told_memory(counts),
            **_plain(score),
            "fewer": [{"share": share, **_plain(after)} for share, after in score.fewer],
        }
        with naming(self.path), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.scores[counts] = score
        self.n_added += 1


def _plain(score: Score) -> dict[str, Any]:
    return {"score": score.mean, "score_error": score.error, "drops": score.drops}


def _score(data: Mapping[str, Any]) -> Score:
    return Score(tuple(tuple(map(float, drops)) for drops in data["drops"]))
