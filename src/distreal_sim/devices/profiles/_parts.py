"""Profiles that are made of other profiles, their parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from distreal_sim.base.nested import SCHEMA, plain_of, read_nested
from distreal_sim.devices.many import OneByOne
from distreal_sim.devices.profile_checks import Checked, is_ours
from distreal_sim.devices.profiles import Profile, Unit
from distreal_sim.devices.rngs import OneOrMany, Within, bulk


def _read(value: Any, info: ValidationInfo) -> Profile:
    return read_nested(Profile, value, info.context)  # type: ignore[type-abstract]


Part = Annotated[Profile, BeforeValidator(_read), PlainSerializer(plain_of), WithJsonSchema(SCHEMA)]
"""A profile as an option of another one."""


def check_units(parts: Sequence[Profile], unit: Unit, label: str) -> None:
    """Raises ValueError unless the parts leave the unit to the whole, or at most one has the same."""
    for part in parts:
        if part.unit not in ("relative", unit):
            raise ValueError(f"its part {part.name} is in {part.unit}; set unit: {part.unit} here, too")
    if any(part.level_1_macs_per_s is not None for part in parts):
        raise ValueError(f"level_1_macs_per_s belongs beside the {label}'s parts, not into one of them")


@dataclasses.dataclass(frozen=True, eq=False)
class Together:
    """The timelines of parts as one: it changes where a part does.

    combine: (parts, ...) levels -> (...), of one client or of many.
    """

    lines: list[Any]
    combine: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def of(
        cls,
        parts: Sequence[Profile],
        client_id: OneOrMany,
        rng: Any,
        deadline_s: float,
        combine: Callable[[np.ndarray], np.ndarray],
    ) -> Together:
        """Part i draws from rng("part i ..."), so that equal parts are independent."""
        lines = [
            _lines(part, client_id, Within(rng, f"part {i}"), deadline_s) for i, part in enumerate(parts)
        ]
        return cls(lines, combine)

    def piece(self, t_s: OneOrMany, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        """See `Timeline` and `Timelines`."""
        pieces = [line.piece(t_s) if rows is None else line.piece(t_s, rows) for line in self.lines]
        level = self.combine(np.array([level for level, _ in pieces]))
        end_s = np.min([end_s for _, end_s in pieces], axis=0)
        return (float(level), float(end_s)) if rows is None else (level, end_s)


def _lines(part: Profile, client_id: OneOrMany, rng: Within, deadline_s: float) -> Any:
    if not isinstance(client_id, np.ndarray):
        lines: Any = part.timeline(client_id, rng, deadline_s)
    elif ask := bulk(part.timeline):
        lines = ask(client_id, rng, deadline_s)
    else:
        clients = enumerate(client_id.tolist())
        lines = OneByOne([part.timeline(own, rng.one(row), deadline_s) for row, own in clients])
    return lines if is_ours(part) else Checked(lines, part, client_id, deadline_s)
