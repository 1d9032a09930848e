"""Links of many clients, one round each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distreal_sim.devices.links import Link, Links, Transfers, Use
from distreal_sim.devices.rngs import bulk


class EachLink:
    """Links of n clients that are asked one by one; see `Transfers`."""

    is_steady = False

    def __init__(self, links: Sequence[Transfers]) -> None:
        self._links = links

    def download_s(self, n_bytes: Any) -> np.ndarray:
        """(n,) durations; n_bytes: (n,), or one number for all."""
        return self._ask("download_s", n_bytes)

    def upload_s(self, n_bytes: Any, from_s: np.ndarray) -> np.ndarray:
        """(n,) durations of uploads that begin at from_s (n,)."""
        return self._ask("upload_s", n_bytes, from_s)

    def expected_upload_s(self, n_bytes: Any) -> np.ndarray:
        """(n,) durations."""
        return self._ask("expected_upload_s", n_bytes)

    def _ask(self, method: str, *arguments: Any) -> np.ndarray:
        rows = zip(*(np.broadcast_to(a, len(self._links)).tolist() for a in arguments), strict=True)
        pairs = zip(self._links, rows, strict=True)
        return np.array([getattr(link, method)(*own) for link, own in pairs], float)


def links_of(links: Links, client_ids: np.ndarray, use: Use, rng: Any) -> Transfers:
    """The links of n clients; use: each of its fields a number or (n,)."""
    if ask := bulk(links.link):
        found: Transfers = ask(client_ids, use, rng)
        return found
    fields = zip(*(np.broadcast_to(field, len(client_ids)).tolist() for field in use), strict=True)
    rows = enumerate(zip(client_ids.tolist(), fields, strict=True))
    each = [links.link(client_id, Use(*own), rng.one(row)) for row, (client_id, own) in rows]
    if links.steady:
        return Link(*np.array(each, float).reshape(-1, len(Link._fields)).T)
    return EachLink(each)
