"""Sweeps: many runs from one file, resumable, in parallel, in one table."""

from distreal_sim.base.callable_module import make_callable

make_callable(__name__, f"{__name__}.run")
