"""The search for Pareto-optimal dropout vectors, the entries of a front; done once, before the runs."""
