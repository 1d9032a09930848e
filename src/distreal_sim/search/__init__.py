"""The search for Pareto-optimal dropout vectors: what a front is filled with, found once, ahead of time."""

from distreal_sim.base.callable_module import make_callable

make_callable(__name__, f"{__name__}.run")
