"""Simulator of federated learning on devices whose compute budget is small, unequal and changing."""
