"""The search for Pareto-optimal dropout vectors: what a front is filled with, found once, ahead of time."""
