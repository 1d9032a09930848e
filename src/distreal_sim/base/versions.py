"""Versions of this package and of those that it works with."""

from __future__ import annotations

import functools
from importlib import metadata

NAME = "distreal-sim"
"""Of the distribution."""


@functools.cache
def version_of(package: str = NAME) -> str:
    """The version of an installed package; `unknown` for another, such as one of a copied `src`."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
