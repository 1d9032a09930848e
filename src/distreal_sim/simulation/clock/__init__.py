"""Simulated timing of many client rounds at once, without training."""
