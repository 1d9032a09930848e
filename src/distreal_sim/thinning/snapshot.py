"""Snapshots of a network's untrained state: buffers, frozen parameters, and attributes.

A forward pass may change this state: a moving average, a counter, a cache, a generator. It is restored before
every job, so that it cannot leak from client to client or make results depend on the process.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_INTERNAL = frozenset(vars(nn.Module())) - {"training"}
"""Attributes that torch keeps in every module."""

_IMMUTABLE = (
    int,
    float,
    complex,
    str,
    bytes,
    type(None),
    type,
    ModuleType,
    np.generic,
    torch.dtype,
    torch.device,
)


class Snapshot:
    """The state of a module, to be restored; but: names of parameters and buffers that are left out."""

    def __init__(self, module: nn.Module, but: Collection[str] = ()) -> None:
        self._dicts: list[dict[str, Any]] = []
        self._keys: list[frozenset[str]] = []  # the original ones
        self._tensors: list[tuple[dict[str, Any], str, Tensor | None, Tensor | None]] = []
        self._plain: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._lists: list[tuple[dict[str, Any], str, list[Any]]] = []
        self._others: list[tuple[dict[str, Any], str, Any]] = []
        self._shared: dict[int, Any] = {}  # objects that copies of attributes still refer to
        for name, part in module.named_modules():
            self._shared[id(part)] = part
            for tensors in (part._parameters, part._buffers):
                self._add_keys(tensors)
                for key, tensor in tensors.items():
                    self._shared[id(tensor)] = tensor
                    if (f"{name}.{key}" if name else key) not in but:
                        value = None if tensor is None else tensor.detach().clone()
                        self._tensors.append((tensors, key, tensor, value))
            self._add_attributes(vars(part))
        self._others = self._copies()

    def _add_keys(self, entries: dict[str, Any]) -> None:
        self._dicts.append(entries)
        self._keys.append(frozenset(entries))

    def _add_attributes(self, attributes: dict[str, Any]) -> None:
        self._add_keys(attributes)
        own = {key: value for key, value in attributes.items() if key not in _INTERNAL}
        self._plain.append((attributes, {key: value for key, value in own.items() if _is_immutable(value)}))
        for key, value in own.items():
            if type(value) is list and all(map(_is_immutable, value)):
                self._lists.append((attributes, key, list(value)))
            elif not _is_immutable(value):
                self._others.append((attributes, key, value))

    def restore(self) -> None:
        """Restores the module's state."""
        if list(map(dict.keys, self._dicts)) != self._keys:
            for entries, known in zip(self._dicts, self._keys, strict=True):
                for key in entries.keys() - known:
                    del entries[key]
        for tensors, key, tensor, value in self._tensors:
            tensors[key] = tensor
            if tensor is not None and value is not None:
                with torch.no_grad():
                    tensor.copy_(value)
        for attributes, plain in self._plain:
            attributes.update(plain)
        for attributes, key, items in self._lists:
            attributes[key] = list(items)
        for attributes, key, value in self._copies():
            attributes[key] = value

    def _copies(self) -> list[tuple[dict[str, Any], str, Any]]:
        """Copies of the attributes that may be changed in place; shared objects stay shared."""
        memo = dict(self._shared) if self._others else {}
        return [(attributes, key, _copy(value, memo)) for attributes, key, value in self._others]


def _is_immutable(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_immutable, value))
    return isinstance(value, _IMMUTABLE) or callable(value)


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, Tensor) and id(value) not in memo:
        memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # a module may hold any object; objects that cannot be copied stay as they are
        return value
