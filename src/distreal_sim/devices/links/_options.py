"""Options of several links: latency, how often speeds are drawn, and a link within another one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from distreal_sim.base.errors import InputError
from distreal_sim.base.nested import SCHEMA, plain_of, read_nested
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.many_links import links_of
from distreal_sim.devices.rngs import OneOrMany, Source, Within

LATENCY = "seconds that each transfer takes besides its bytes"
PER = "a client's factor is drawn once, or again in every round; it is the same in both directions"

Speed = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Per = Literal["client", "round"]


def drawn(per: Per, use: Use, rng: Source) -> OneOrMany:
    """The uniform number in [0, 1) of a client, or of its round."""
    return rng("speed").random() if per == "client" else rng("speed", use.number).random()


def _read(value: Any, info: ValidationInfo) -> Links:
    try:
        links = read_nested(Links, value, info.context)  # type: ignore[type-abstract]
    except InputError as error:
        raise ValueError(str(error)) from None
    if not links.steady:
        raise ValueError(f"link {links.name} changes during a transfer, so that no other link can hold it")
    return links


Inner = Annotated[Links, BeforeValidator(_read), PlainSerializer(plain_of), WithJsonSchema(SCHEMA)]
"""A link as an option of another one."""


def inner_link(links: Links, client_id: OneOrMany, use: Use, rng: Any) -> Link:
    """The link within another one, of one client or of many; it draws from rng("of ...")."""
    own = Within(rng, "of")
    one = not isinstance(client_id, np.ndarray)
    found: Any = links.link(client_id, use, own) if one else links_of(links, client_id, use, own)
    return Link(*found)
