"""The rounds of a run, and the files that they are written to."""
