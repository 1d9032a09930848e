"""Arrays by name in an .npz file or in a folder of .npy files; nothing in them can run code."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from distreal_sim.base.errors import InputError, nearest
from distreal_sim.data.datasets._files import names_in

_LISTED = 8


class NamedArrays:
    """The arrays of an .npz file, or of the .npy files of a folder, which are mapped and not read.

    Capitals do not matter: X_train is x_train. Raises InputError naming the file for one that is no such
    file, is damaged, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, str] = {}
        if path.is_dir():
            names = [name.removesuffix(".npy") for name in names_in(path) if name.endswith(".npy")]
        else:
            try:
                with np.load(path, allow_pickle=False) as file:
                    names = list(file.files) if isinstance(file, np.lib.npyio.NpzFile) else []
            except FileNotFoundError as error:
                raise InputError(f"data file {path} is not there; write it with numpy.savez") from error
            except _DAMAGED as error:
                raise self._damaged(error) from error
        for name in names:
            if name.lower() in self._files:
                raise InputError(f"{path} has both {self._files[name.lower()]} and {name}; keep one of them")
            self._files[name.lower()] = name

    def __getitem__(self, key: str) -> np.ndarray:
        """The array of this name. Raises InputError with the names that there are."""
        if key not in self._files:
            found = ", ".join(list(self._files.values())[:_LISTED]) or "no arrays"
            raise InputError(f"{self.path} has no array '{key}'{nearest(key, self._files)} (found: {found})")
        name = self._files[key]
        try:
            if self.path.is_dir():
                array = np.load(self.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            else:
                with np.load(self.path, allow_pickle=False) as file:
                    array = file[name]
        except _DAMAGED as error:
            raise self._damaged(error, name) from error
        return np.asarray(array)

    def __contains__(self, key: str) -> bool:
        return key in self._files

    def find(self, key: str) -> np.ndarray | None:
        """The array of this name, or None where there is none."""
        return self[key] if key in self._files else None

    def _damaged(self, error: Exception, name: str = "") -> InputError:
        if "allow_pickle" in str(error) and not name:
            why = "it is no .npz file, which numpy.savez writes"
        elif "allow_pickle" in str(error):
            why = f"array '{name}' holds Python objects, which are not read; save it as numbers or texts"
        else:
            why = f"{f'array {name!r}: ' * bool(name)}{error}"
        which = self.path / f"{name}.npy" if self.path.is_dir() and name else self.path
        return InputError(f"data file {which} cannot be read: {why}")


_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)
