"""Characters as tokens, and texts as windows of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

LEAF = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
"""The 80 characters of LEAF's Shakespeare, in the order of its numbers."""


def alphabet_of(texts: Iterable[str]) -> str:
    """The different characters, sorted."""
    return "".join(sorted(set().union(*texts)))


def ids(text: str, alphabet: str) -> np.ndarray:
    """(n,) int64: the place of each character in the alphabet; its length for a character that it lacks."""
    codes, known = (np.frombuffer(t.encode("utf-32-le"), np.uint32) for t in (text, alphabet))
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known, codes, sorter=order), len(known) - 1)
    places = order[at]
    return np.where(known[places] == codes, places, len(known)).astype(np.int64)


def windows(tokens: np.ndarray, length: int, stride: int) -> np.ndarray:
    """(n,) tokens -> (N, length + 1): every `stride`-th window that fits; a view."""
    if len(tokens) <= length:
        return np.empty((0, length + 1), np.int64)
    return np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::stride]


def speeches(text: str) -> dict[str, str]:
    """The speeches of each speaker, joined, in the order of the text.

    A speech is a block between blank lines of which the first line is `SPEAKER:`; a block without such a line
    belongs to the speech before it, and text before the first speaker to nobody.
    """
    spoken: dict[str, list[str]] = {}
    speaker = None
    for block in text.replace("\r\n", "\n").split("\n\n"):
        block = block.strip("\n")
        first, _, rest = block.partition("\n")
        if first.endswith(":") and len(first) > 1:
            speaker, block = first[:-1].strip(), rest
        if speaker is not None and block:
            spoken.setdefault(speaker, []).append(f"{block}\n")
    return {name: "".join(parts) for name, parts in spoken.items()}


def joined(parts: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Rows of all parts, one after the other; (0, width) where there are none."""
    return np.concatenate([np.empty((0, width), np.int64), *parts])
