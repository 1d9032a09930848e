"""Properties that are computed once for each object, on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Owner = TypeVar("Owner")
Value = TypeVar("Value")


class lazy(Generic[Owner, Value]):  # noqa: N801  (a decorator)
    """functools.cached_property, with its attributes, without the lock that it takes on Python 3.11.

    For objects that are made for every job, of which the lock is a measurable part.
    """

    def __init__(self, compute: Callable[[Owner], Value]) -> None:
        self.func = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.attrname = name

    @overload
    def __get__(self, instance: None, owner: type[Owner]) -> lazy[Owner, Value]: ...
    @overload
    def __get__(self, instance: Owner, owner: type[Owner]) -> Value: ...
    def __get__(self, instance: Owner | None, owner: type[Owner]) -> lazy[Owner, Value] | Value:
        if instance is None:
            return self
        value = instance.__dict__[self.attrname] = self.func(instance)
        return value
