"""Arguments of operations, and axes that move within a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from distreal_sim.thinning.coupling.trace import Trace

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Before = dict[int, tuple[int, ...]]


def input_of(args: Args, kwargs: Kwargs) -> Tensor:
    x: Tensor = args[0] if args else kwargs["input"]
    return x


def given(args: Args, kwargs: Kwargs, place: int, names: tuple[str, ...], default: Any) -> Any:
    """An argument given by position, or by one of its names."""
    if len(args) > place:
        return args[place]
    return next((kwargs[name] for name in names if name in kwargs), default)


def move(
    trace: Trace,
    x: Tensor,
    out: Tensor,
    place: Callable[[int], int | None],
    reason: str = "it takes the axis of channels apart",
    same: bool = True,
) -> None:
    """Records that axis d of x becomes axis place(d) of `out`; None: the axis is lost, for the given reason.

    Raises ThinningError if a lost axis holds channels that may be dropped; a parameter's lost axis stays
    whole.
    """
    axes = {}
    for dim, atoms in trace.axes_of(x).items():
        new = place(dim)
        if new is not None and out.shape[new] == len(atoms):
            axes[new] = atoms
        elif trace.is_parameter(x):
            trace.couplings.fix(atoms)
        else:
            trace.whole(atoms, reason)
    trace.put(out, axes, x, same)
