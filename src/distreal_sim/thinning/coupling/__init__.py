"""Finds the coupled channels of a network by tracing a forward pass."""
