"""The data in a plan: what y holds, missing classes, examples in both splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from distreal_sim.data.datasets import IGNORED, Data, Examples, Targets

WIDTH = 68
"""Characters of a line, so that one with a label of twelve fits a terminal of 80 columns."""

HASHED_BYTES = 1 << 30
"""Data sets up to this size are searched for examples that stand twice: a second or two."""

Counts = dict[str, np.ndarray]


NOUNS: dict[Targets, tuple[str, str]] = {
    "class": ("class", "classes"),
    "tokens": ("token", "tokens"),
    "values": ("value", "values"),
    "marks": ("label", "labels"),
}
"""What one output stands for: singular and plural."""


def targets_of(data: Data) -> dict[str, np.ndarray]:
    """y of each split."""
    return {"training": data.train.y, "test": data.test.y}


def class_counts(data: Data) -> Counts:
    """(n_outputs,) examples of each class or with each label, in each split; empty for other targets."""
    if data.targets == "marks":
        return {split: y.sum(axis=0, dtype=np.int64) for split, y in targets_of(data).items()}
    if data.targets != "class":
        return {}
    return {split: np.bincount(y, minlength=data.n_outputs) for split, y in targets_of(data).items()}


def data_lines(data: Data) -> Iterator[str]:
    """What y of both splits holds, then possible faults."""
    for split, counts in class_counts(data).items():
        yield f"{split} examples of {_counts(counts, *NOUNS[data.targets])}"
    for split, y in targets_of(data).items():
        if data.targets == "tokens":
            asked = y[y != IGNORED]
            yield f"{split} tokens: {asked.size:,}, {len(np.unique(asked)):,} different ones"
        elif data.targets == "values":
            means, spreads = y.mean(axis=0, dtype=float), y.std(axis=0, dtype=float)
            yield f"{split} values: mean {_between(means)}, standard deviation {_between(spreads)}"
    yield from warnings_of(data)
    if n_constant := int((data.train.x == data.train.x[0]).all(axis=0).sum()):
        yield f"{n_constant:,} of {data.train.x[0].size:,} inputs are the same in all training examples"


def warnings_of(data: Data) -> Iterator[str]:
    """Classes that one split lacks, and examples that are in both or several times in one."""
    yield from missing_classes(data)
    if data.train.x.nbytes + data.test.x.nbytes <= HASHED_BYTES:
        yield from _twice(data)


def missing_classes(data: Data) -> Iterator[str]:
    """A line for each split that lacks some of the classes."""
    for split, counts in class_counts(data).items():
        if len(classes := np.flatnonzero(counts == 0)):
            yield listed(f"{NOUNS[data.targets][1]} without {split} examples: ", classes.tolist())


def _between(numbers: np.ndarray) -> str:
    """One number, or the smallest and the largest one."""
    low, high = float(numbers.min()), float(numbers.max())
    return f"{low:,.4g}" if len(numbers) == 1 else f"{low:,.4g} .. {high:,.4g}"


def _counts(counts: np.ndarray, one: str, many: str) -> str:
    """`each class: 5,000`, or every count, or their spread where they do not fit."""
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return f"each {one}: {low:,}"
    every = f"{many} 0 .. {len(counts) - 1}: {' '.join(map(str, counts))}"
    if len(every) + len("training examples of ") <= WIDTH:
        return every
    return f"a {one}: min {low:,}, median {np.median(counts):,.4g}, max {high:,}"


def listed(start: str, items: Sequence[int]) -> str:
    """The start and as many of the items as fit on the line, and how many there are."""
    whole = start + ", ".join(map(str, items))
    if len(whole) <= WIDTH:
        return whole
    end, shown = f", ... ({len(items):,} in all)", start + str(items[0])
    for item in items[1:]:
        longer = f"{shown}, {item}"
        if len(longer) + len(end) > WIDTH:
            break
        shown = longer
    return shown + end


def _twice(data: Data) -> Iterator[str]:
    """By the pixels alone: an example that stands elsewhere under another label counts too."""
    train, test = Counter(_digests(data.train)), _digests(data.test)
    if copies := [i for i, digest in enumerate(test) if digest in train]:
        share = f"{len(copies):,} of {len(test):,} test examples"
        yield f"{share} are training examples too, the first of them number {copies[0]}"
    if again := sum(train.values()) - len(train):
        yield f"{again:,} of {len(data.train):,} training examples are copies of others of them"


def _digests(examples: Examples) -> list[bytes]:
    rows = np.ascontiguousarray(examples.x)
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]
