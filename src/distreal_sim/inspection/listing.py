"""What there is of each kind."""

from __future__ import annotations

import inspect
import textwrap

from distreal_sim.base.errors import unknown
from distreal_sim.base.plugins import Plugin, load
from distreal_sim.base.plugins import names as plugin_names
from distreal_sim.base.text import si
from distreal_sim.config import KINDS
from distreal_sim.devices.catalogue import catalogue, device
from distreal_sim.fronts import bundled
from distreal_sim.fronts.file import read_front

FRONTS, DEVICES = "fronts", "devices"


def _listed() -> dict[str, type[Plugin]]:
    """By the folder of each kind: `methods`, `models`, `datasets`, ..."""
    return {kind.package.rpartition(".")[2]: kind for kind in KINDS.values()}


def kinds() -> list[str]:
    """What can be listed, sorted."""
    return sorted([*_listed(), FRONTS, DEVICES])


def names(kind: str) -> dict[str, str]:
    """What there is of a kind, each name with a sentence on it.

    kind: methods, models, datasets, partitions, profiles, links, availability, trackers, devices, ...
    Raises InputError for another.
    """
    if kind == FRONTS:
        return {name: _about(name) for name in bundled.names()}
    if kind == DEVICES:
        return {name: _of_device(name) for name in catalogue()}
    if kind not in _listed():
        raise unknown("kind", kind, kinds())
    base = _listed()[kind]
    return {name: _first_paragraph(load(base, name)) for name in plugin_names(base)}


def lines(kind: str, width: int | None = None) -> list[str]:
    """`name  what it is`: a line each, or filled to lines of `width` characters where that is given."""
    found = names(kind)
    room = max(map(len, found)) + 2
    if width is None:
        return [f"{name:<{room}}{text}" for name, text in found.items()]
    filled = (
        textwrap.wrap(
            text,
            width,
            initial_indent=f"{name:<{room}}",
            subsequent_indent=" " * room,
            break_on_hyphens=False,
        )
        for name, text in found.items()
    )
    return [line for own in filled for line in own]


def _first_paragraph(plugin: type[Plugin]) -> str:
    return " ".join((inspect.getdoc(plugin) or "").partition("\n\n")[0].split())


def _of_device(name: str) -> str:
    found = device(name)
    return f"{si(found.macs_per_s.value, 'MAC/s')} ({found.macs_per_s.sure}): {found.title}"


def _about(name: str) -> str:
    front = read_front(bundled.path_of(name))
    return (
        f"{len(front.entries)} entries for {front.made['model']} on {front.made['dataset']}, made by "
        f"{front.made['how']}"
    )
