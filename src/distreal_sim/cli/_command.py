"""Commands that say what an unknown option is meant to be: a key of the config, or another option."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_type_hints

import click
import typer.core
from pydantic import BaseModel

from distreal_sim.base.errors import InputError, closest


class Command(typer.core.TyperCommand):
    """A command whose overrides are KEY=VALUE."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = "\n\n".join(" ".join(part.split()) for part in (self.help or "").split("\n\n"))
        helps = helps_of(inspect.unwrap(self.callback)) if self.callback is not None else {}
        for param in self.params:
            if isinstance(param, typer.core.TyperArgument):  # click 8.5 and typer 0.20 lose its help
                param.help = param.help or helps.get(param.name or "")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises InputError with KEY=VALUE for `--KEY VALUE` and `--KEY=VALUE`; click's error for others."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            meant = override_meant(error.option_name, words)
            if meant is None or not any(p.name == "overrides" for p in self.params):
                own = (
                    name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)
                )
                error.possibilities = near_option(error.option_name, own)  # type: ignore[misc]
                raise
            raise InputError(
                f"{error.option_name} is no option of {ctx.info_name} but a key of the config: write {meant}"
            ) from None


def helps_of(function: Callable[..., Any]) -> dict[str, str]:
    """Help texts of a command's parameters, by their names."""
    hints = get_type_hints(function, include_extras=True)
    return {name: hint.__metadata__[0].help for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def near_option(option: str, valid: Iterable[str]) -> list[str]:
    """The valid option that is probably meant, if one is near; the dashes in front make no name near."""
    names = {name.removeprefix("--"): name for name in valid if name.startswith("--")}
    near = closest(option.lstrip("-"), names)
    return [] if near is None else [names[near]]


def override_meant(option: str, words: Sequence[str]) -> str | None:
    """`rounds=3` for the option `--rounds` in `--rounds 3`; None where it is no key of an experiment."""
    from distreal_sim.config import Experiment

    fields = Experiment.model_fields
    name = option.lstrip("-").partition("=")[0].replace("-", "_")
    below = [
        f"{key}.{name}"
        for key, field in fields.items()
        if isinstance(field.annotation, type)
        and issubclass(field.annotation, BaseModel)
        and name in field.annotation.model_fields
    ]
    key = name if name.partition(".")[0] in fields else below[0] if below else None
    if key is None:
        return None
    place = next(i for i, word in enumerate(words) if word.partition("=")[0] == option.partition("=")[0])
    value = words[place].partition("=")[2] or next(iter(words[place + 1 : place + 2]), "")
    return f"{key}={'VALUE' if not value or value.startswith('--') else value}"
