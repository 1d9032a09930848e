"""Trains the sub-network of the kept channels with small dense kernels."""
