"""Errors: a mistake in the user's input, or a run that failed."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class InputError(Exception):
    """A mistake in the input: one clear message, shown without a traceback, exit code 2."""


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that `name` is probably meant to be: one that differs little, or that it begins."""
    names, word = list(valid), str(name)
    begun = (valid for valid in names if len(word) > 2 and valid.startswith(word))
    return next(iter(difflib.get_close_matches(word, names, n=1)), None) or next(begun, None)


class RunError(Exception):
    """A run that failed through no mistake in the input: one clear message, exit code 1.

    details: further text for a programmer, such as a traceback from another process; may be empty.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Within the block an exception of a user's code becomes an InputError: `what` fails with it."""
    try:
        yield
    except (InputError, RunError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever a user's code raises is a mistake in the input
        text = " ".join(str(error).split())
        raise InputError(f"{what} fails with {type(error).__name__}: {text}") from error


class ClientFailedError(RunError):
    """An exception on a client; the message names the client, the round and the stage."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """`"; did you mean 'fedavg'?"` when a valid name is close to `name`, else an empty string."""
    close = closest(name, valid)
    return f"; did you mean '{close}'?" if close else ""


def unknown(what: str, name: str, valid: Iterable[str]) -> InputError:
    """Error for a name that is not in `valid`, listing the valid ones, with the nearest of them."""
    valid = sorted(valid)
    return InputError(f"unknown {what} '{name}'{nearest(name, valid)} (valid: {', '.join(valid)})")
