"""Traces: what devices did over time, read from files, checked, and looked up by time."""
