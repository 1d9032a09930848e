"""Random numbers that a test gives."""

from __future__ import annotations

from typing import Any

import numpy as np


class Given(np.random.Generator):
    """A generator of given numbers."""

    def __init__(self, drawn: list[float]) -> None:
        super().__init__(np.random.PCG64(0))
        self.drawn = list(drawn)

    def random(self, n: int | None = None) -> Any:  # type: ignore[override]
        if n is None:
            return self.drawn.pop(0)
        return np.array([self.drawn.pop(0) for _ in range(n)])


def given(**drawn: Any) -> Any:
    """rng(purpose, *key): purpose=[...] for every key, or purpose={key: [...]}."""

    def rng(purpose: str, *key: int) -> Given:
        own = drawn[purpose.replace(" ", "_")]
        return Given(own[key[0]] if isinstance(own, dict) else own)

    return rng
