"""Pareto fronts of dropout vectors: the table, its file, and the bundled ones."""
