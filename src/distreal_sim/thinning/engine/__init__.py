"""Trains the sub-network of the kept channels as small dense kernels."""
