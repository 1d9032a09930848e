"""Sweeps: many runs from one file, resumable, in parallel, in one table."""
