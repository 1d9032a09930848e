"""Splits of a Hugging Face data set and slices of them, and how its local folder is laid out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distreal_sim.data.datasets._files import what_lies_there

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_LOOKED_AT = 1000


def sliced(spec: str, load: Callable[[str], Any], labels: Callable[[Any], np.ndarray]) -> Any:
    """The examples that a spec with slices names, such as `train[:90%]` or `train[:10%]+test[5:]`.

    load: a whole split by its name; labels: the (N,) labels of one, as numbers or strings. A split whose
    examples are grouped by class is brought into the order of `mixed` before it is cut.
    """
    import datasets

    names = {part.split("[")[0].strip() for part in spec.split("+")}
    whole = {name: load(name) for name in sorted(names)}
    # Rows are picked by number below; Hugging Face's reader knows what the text means.
    pieces = datasets.ReadInstruction.from_spec(spec).to_absolute({n: len(s) for n, s in whole.items()})
    orders = {name: mixed(labels(split)) for name, split in whole.items()}
    parts = [whole[p.splitname].select(orders[p.splitname][p.from_ : p.to]) for p in pieces]
    return parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)


def mixed(labels: np.ndarray) -> np.ndarray:
    """(N,) order of the examples of which every stretch has its share of each class.

    It is their own order, unless they are grouped by class: then each class is spread evenly over the
    whole. Grouped: neighbours differ less than half as often as they would in random order.
    """
    n = len(labels)
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    n_changes = int((classes[1:] != classes[:-1]).sum())
    expected = (n - 1) * (1 - float(np.square(counts / n).sum())) if n else 0.0
    if n_changes >= expected / 2:
        return np.arange(n)
    by_class = np.argsort(classes, kind="stable")
    rank = np.empty(n, np.int64)
    rank[by_class] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.lexsort((classes, (rank + 0.5) / counts[classes]))


def layout(folder: Path | None) -> str:
    """Advice on a local folder without labels: the layouts that are read, and the content of the folder."""
    if folder is None:
        return ""
    read = (
        "; in a folder of images the labels are the names of the folders right above them, two at least "
        "(SPLIT/CLASS/*.png), or a column of SPLIT/metadata.csv beside file_name"
    )
    looked_at = itertools.islice(folder.rglob("*"), _LOOKED_AT)
    pictures = [path.relative_to(folder) for path in looked_at if path.suffix.lower() in _PICTURES]
    if not pictures:
        return read
    deepest = min(pictures, key=lambda path: (-len(path.parts), path))
    return f"{read}; here lies for example {deepest}"


def contents(folder: Path | None) -> str:
    """Advice on a local folder that could not be loaded: its archives, or else its names."""
    if folder is None:
        return ""
    there = what_lies_there([folder]).removesuffix(", or ").removesuffix("; ")
    return f"; {there}" if there else ""
