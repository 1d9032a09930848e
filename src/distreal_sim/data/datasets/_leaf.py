"""The json files that LEAF writes: {"users": [...], "user_data": {user: {"x": [...], "y": [...]}}, ...}."""

from __future__ import annotations

import json
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets._files import SUFFIXES, damaged, read, what_lies_there

X = TypeVar("X", bound=Sized)
Y = TypeVar("Y", bound=Sized)


class _Numbers(dict[str, float]):
    """Parsed numbers by their text: a pixel takes one of 256 values, so that json keeps 256 floats in all."""

    def __missing__(self, text: str) -> float:
        self[text] = value = float(text)
        return value


def json_files(data_dir: Path, part: str, what: str, source: str) -> list[Path]:
    """The json files (plain, .gz or .xz) of `train` or `test`, in data_dir or data_dir/data, by name.

    Of a.json, a.json.gz and a.json.xz the first is taken. Raises InputError where there are none.
    """
    folders = [data_dir / part, data_dir / "data" / part]
    for folder in folders:
        by_name: dict[str, Path] = {}
        for suffix in SUFFIXES:
            for path in sorted(folder.glob(f"*.json{suffix}")):
                by_name.setdefault(path.name.removesuffix(suffix), path)
        if by_name:
            return [by_name[name] for name in sorted(by_name)]
    places = " or ".join(str(folder) for folder in folders)
    there = what_lies_there([*folders, data_dir, data_dir / "data"])
    raise InputError(f"no json files of {what} found in {places}; {there}get them from {source}")


def read_users(path: Path, n_pixels: int, source: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(user, x, y) for each user of one file; x: (n, n_pixels) uint8, y: (n,) int64.

    LEAF divides grey values 0 .. 255 by 255; this multiplies them back. Raises InputError for other content.
    """
    return _users(path, lambda user, data: _user(path, user, data, n_pixels, source), source)


def read_texts(path: Path, length: int, source: str) -> list[tuple[str, list[str], list[str]]]:
    """(user, x, y) for each user of one file; x: texts of `length` characters, y: the character after each.

    Raises InputError for other content.
    """
    return _users(path, lambda user, data: _texts(path, user, data, length, source), source)


def _users(path: Path, read_user: Callable[[Any, Any], tuple[X, Y]], source: str) -> list[tuple[str, X, Y]]:
    """(user, x, y) for each user of one file; read_user: x and y of a user and the entry in 'user_data'."""
    numbers = _Numbers()
    try:
        content = json.loads(read(path, source), parse_float=numbers.__getitem__)
    except ValueError as error:
        raise damaged(path, f"expected a json file, but {error}", source) from error
    if not isinstance(content, dict) or not {"users", "user_data"} <= content.keys():
        raise damaged(path, "expected an object with the keys 'users' and 'user_data'", source)
    users, user_data = content["users"], content["user_data"]
    if not isinstance(users, list) or not isinstance(user_data, dict):
        raise damaged(path, "expected 'users' to be a list and 'user_data' an object", source)
    read_all = [(str(u), *read_user(u, user_data.get(u))) for u in users]
    _check_sizes(path, content.get("num_samples"), [(user, len(y)) for user, _, y in read_all], source)
    return read_all


def _check_sizes(path: Path, announced: Any, found: list[tuple[str, int]], source: str) -> None:
    """Raises InputError unless 'num_samples', where it is given, has the number of each user's examples."""
    if announced is None:
        return
    if not isinstance(announced, list) or len(announced) != len(found):
        problem = f"expected 'num_samples' to be a list of {len(found)} numbers, one for each of 'users'"
        raise damaged(path, problem, source)
    for n, (user, n_found) in zip(announced, found, strict=True):
        if n != n_found:
            raise damaged(path, f"'num_samples' announces {n} of user {user}, there are {n_found}", source)


def _user(path: Path, user: Any, data: Any, n_pixels: int, source: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        if not data["x"] and not data["y"]:
            return np.empty((0, n_pixels), np.uint8), np.empty(0, np.int64)
        x = np.asarray(data["x"], dtype=np.float64) * 255
        y = np.asarray(data["y"])
        if x.shape != (len(y), n_pixels):
            raise ValueError(f"x has shape {x.shape} for {len(y)} labels")
        if y.dtype.kind != "i":
            raise ValueError(f"y holds {y.dtype}")
    except (KeyError, TypeError, ValueError) as error:
        problem = f"expected user {user} to have 'x', lists of {n_pixels} numbers, and as many integers 'y'"
        raise damaged(path, f"{problem}, but {error}", source) from error
    grey = np.clip(np.rint(x), 0, 255)
    # "not <=" and not ">", so that a nan is refused too.
    if not (np.abs(grey - x) <= 1e-3).all():
        raise damaged(path, f"expected pixels k / 255 with k in 0 .. 255, user {user} has others", source)
    return grey.astype(np.uint8), y.astype(np.int64)


def _texts(path: Path, user: Any, data: Any, length: int, source: str) -> tuple[list[str], list[str]]:
    try:
        x, y = data["x"], data["y"]
        if len(x) != len(y):
            raise ValueError(f"there are {len(x)} x and {len(y)} y")
        for key, texts, n in (("x", x, length), ("y", y, 1)):
            wrong = next((t for t in texts if not isinstance(t, str) or len(t) != n), None)
            if wrong is not None:
                raise ValueError(f"{key} has {wrong!r}")
    except (KeyError, TypeError, ValueError) as error:
        problem = f"expected user {user} to have 'x', texts of {length} characters, and as many 'y' of one"
        raise damaged(path, f"{problem}, but {error}", source) from error
    return x, y
