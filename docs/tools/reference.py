"""Writes api.md and cli.md from the docstrings and help texts: `python docs/tools/reference.py`."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import typer.main

import distreal_sim as ds
from distreal_sim.cli import app
from distreal_sim.cli._command import helps_of
from distreal_sim.devices.catalogue import Fact, catalogue, device

HERE = Path(__file__).parent.parent / "reference"

KINDS = {
    "Functions": lambda found: inspect.isfunction(found),
    "Base classes of plug-ins": lambda found: hasattr(found, "package"),
    "Classes and exceptions": lambda found: inspect.isclass(found) and not hasattr(found, "package"),
}


def api() -> str:
    """The public names, in groups."""
    found = {name: getattr(importlib.import_module(ds._HOME_OF[name]), name) for name in sorted(ds.__all__)}
    lines = ["# Python API", "", "`import distreal_sim as ds`; every name below is `ds.NAME`.", ""]
    for title, belongs in KINDS.items():
        lines += [f"## {title}", ""]
        for name, value in found.items():
            if belongs(value):
                lines += _entry(name, value)
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    """Heading, signature, docstring and, of a class, its public methods, each in one line."""
    yield from (f"### {name}", "")
    if inspect.isfunction(value):
        yield from ("```python", _signature(name, value), "```", "")
    yield from (inspect.getdoc(value) or "", "")
    if not inspect.isclass(value):
        return
    members = [
        f"- `{_member(key, own)}`: {_in_one_line(_function(own))}"
        for key, own in vars(value).items()
        if not key.startswith(("_", "model_")) and _is_member(own) and inspect.getdoc(_function(own))
    ]
    yield from ([*members, ""] if members else [])


def _in_one_line(value: Any) -> str:
    """Its docstring."""
    return " ".join((inspect.getdoc(value) or "").split())


def _is_member(own: Any) -> bool:
    return inspect.isfunction(own) or isinstance(own, property | classmethod) or hasattr(own, "attrname")


def _function(own: Any) -> Any:
    """What a member was made of."""
    for name in ("fget", "func", "__func__"):
        if (inner := getattr(own, name, None)) is not None:
            return inner
    return own


def _member(key: str, own: Any) -> str:
    function = _function(own)
    return (
        key
        if isinstance(own, property) or hasattr(own, "attrname")
        else _signature(key, function, short=True)
    )


def _signature(name: str, function: Callable[..., Any], short: bool = False) -> str:
    """As written, a parameter a line unless it is short; defaults that are functions are left out."""
    texts = []
    for p in inspect.signature(function).parameters.values():
        if p.name in ("self", "cls"):
            continue
        if p.kind is p.KEYWORD_ONLY and "*" not in texts:
            texts.append("*")
        star = {p.VAR_KEYWORD: "**", p.VAR_POSITIONAL: "*"}.get(p.kind, "")
        default = "..." if callable(p.default) else repr(p.default)
        value = "" if p.default is p.empty else f" = {default}"
        texts.append(f"{star}{p.name}: {p.annotation}{value}")
    back = inspect.signature(function).return_annotation
    end = f" -> {back}"
    one = f"{name}({', '.join(texts)}){end}"
    return (
        one if short or len(one) <= 100 else "\n".join([f"{name}(", *(f"    {t}," for t in texts), f"){end}"])
    )


def cli() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    codes = (
        "Exit codes: 0; 2 for a mistake in the input; 1 for a failure; 130 for Ctrl-C; 143 and 129 for "
        "SIGTERM and SIGHUP."
    )
    lines = ["# Command line", "", codes, ""]
    for name, command in sorted(group.commands.items()):
        helps = _helps(name)
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        words = [name, *map(_word, arguments), *(["[OPTIONS]"] if options else [])]
        lines += [f"## {name}", "", f"    distreal-sim {' '.join(words)}", ""]
        lines += ["\n\n".join(textwrap.fill(part, 110) for part in (command.help or "").split("\n\n")), ""]
        lines += [f"- `{_word(p)}`: {helps[str(p.name)]}" for p in arguments]
        lines += [_option(p) for p in options]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _helps(command: str) -> dict[str, str]:
    """Help texts of a command's parameters, as its function has them."""
    callbacks = [i.callback for i in app.registered_commands if i.callback is not None]
    names = {i.callback: i.name or i.callback.__name__ for i in app.registered_commands if i.callback}
    return helps_of(next(own for own in callbacks if names[own] == command))


def _word(argument: click.Parameter) -> str:
    kind = argument.type
    return str(argument.metavar or (_values(kind) if hasattr(kind, "choices") else argument.name))


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {_values(option.type)}"
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    default = "" if shown in (None, False, "") or option.is_flag else f" (default: {shown})"
    return f"- `{option.opts[0]}{value}`: {option.help}{default}"


def _values(kind: Any) -> str:
    return "|".join(map(str, kind.choices)) if hasattr(kind, "choices") else str(kind.name).upper().split()[0]


DEVICES_HEAD = """# Device catalogue

Boards and phones whose public facts are known, for the profile [`fleet`](profiles.md#fleet);
`distreal-sim list devices` prints them. Each value has its source and how sure it is: **measured** by the
source, **specified** by the maker, or **derived** from specified values. A fact without a public source is
left out. Multiply-accumulates per second (MAC/s) are those of dense arithmetic, of which training reaches a
part (`profile.efficiency`): the float64 result of a Linpack run on a board, or the float32 peak of a chip.
Measured and derived values differ in kind: compare fleets of one kind.

A device of your own is a YAML file like those in `src/distreal_sim/devices/catalogue/`, which `profile.files`
names. `distreal-sim calibrate --out FILE` makes one on the device itself, with the
[times of its training steps](../explanation/time.md#a-calibrated-device). `python docs/tools/reference.py`
makes this page from them.

| name | device | MAC/s | memory | its bandwidth | power |
|---|---|---|---|---|---|
"""


def devices() -> str:
    """docs/reference/devices.md."""
    lines, notes = [], []
    for name in catalogue():
        own = device(name)
        facts = (own.macs_per_s, own.memory_bytes, own.memory_bytes_per_s, own.power_w)
        units = ("GMAC/s", "GiB", "GB/s", "W")
        scales = (1e9, 2**30, 1e9, 1)
        shown = [_fact(*each) for each in zip(facts, units, scales, strict=True)]
        lines.append(f"| `{name}` | {own.title} | {' | '.join(shown)} |")
        notes += [f"- `{name}`, {key.replace('_', ' ')}: {fact.note}." for key, fact in own if _noted(fact)]
    return DEVICES_HEAD + "\n".join(lines) + "\n\n## Notes\n\n" + "\n".join(notes) + "\n"


def _noted(fact: object) -> bool:
    return isinstance(fact, Fact) and bool(fact.note)


def _fact(fact: Fact | None, unit: str, scale: float) -> str:
    return "" if fact is None else f"{fact.value / scale:.4g} {unit}, [{fact.sure}]({fact.source})"


PAGES = {"api.md": api, "cli.md": cli, "devices.md": devices}

if __name__ == "__main__":
    for file, text in PAGES.items():
        (HERE / file).write_text(text())
