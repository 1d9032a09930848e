"""The "python version" of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distreal_sim.base.errors import nearest
from distreal_sim.data.datasets import Examples
from distreal_sim.data.datasets._files import check_labels, damaged, find, names_in
from distreal_sim.data.datasets._unpickle import unpickle

SOURCE = (
    "Alex Krizhevsky's page 'The CIFAR-10 and CIFAR-100 datasets' (python version), for example by "
    "torchvision.datasets.{}"
)

_OTHER_VERSION = re.compile(r"(bin|binary|mat|matlab)(/|\.tar\.gz)$")


def read_batches(
    folders: Sequence[Path], names: Sequence[str], labels_key: str, n_classes: int, source: str
) -> Examples:
    """The examples of some batch files, one after the other; x: (N, 3, 32, 32) uint8."""
    paths = [find(folders, name, source=source, hint=_hint(folders)) for name in names]
    batches = [_batch(path, labels_key, n_classes, source) for path in paths]
    if len(batches) == 1:
        return batches[0]
    return Examples(np.concatenate([b.x for b in batches]), np.concatenate([b.y for b in batches]))


def pooled(examples: Examples, side: int) -> Examples:
    """The means of all squares of side x side pixels, rounded to the nearest integer, halves up.

    x: (N, C, H, W) uint8 becomes (N, C, H / side, W / side); side divides H and W.
    """
    if side == 1:
        return examples
    n, c, h, w = examples.x.shape
    squares = examples.x.reshape(n, c, h // side, side, w // side, side)
    sums = squares.sum(axis=(3, 5), dtype=np.uint16)
    return Examples(((sums + side * side // 2) // (side * side)).astype(np.uint8), examples.y)


def _hint(folders: Sequence[Path]) -> str:
    """Advice where the folder holds the binary or the Matlab version instead of the python version."""
    for folder in folders:
        for name in names_in(folder):
            if name.startswith("cifar") and _OTHER_VERSION.search(name):
                return f"{folder / name} is of another version, which is not read; "
            if name.endswith((".bin", ".mat")):
                return f"{name} in {folder} is of another version, which is not read; "
    return ""


def _batch(path: Path, labels_key: str, n_classes: int, source: str) -> Examples:
    content = unpickle(path, source)
    for key in ("data", labels_key):
        if key not in content:
            keys = [str(k) for k in content]
            problem = f"expected the key '{key}'{nearest(key, keys)} (found: {', '.join(sorted(keys))})"
            raise damaged(path, problem, source)
    x, labels = content["data"], content[labels_key]
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != 3072:
        found = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise damaged(path, f"expected 'data' to be uint8 (N, 3072), found {found}", source)
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise damaged(path, f"expected '{labels_key}' to be a list of integers", source)
    if len(labels) != len(x) or not labels:
        problem = f"expected one label for each of {len(x)} images, at least one, found {len(labels)}"
        raise damaged(path, problem, source)
    y = np.array(labels, dtype=np.int64)
    check_labels(path, y, n_classes, source)
    return Examples(x.reshape(-1, 3, 32, 32), y)
