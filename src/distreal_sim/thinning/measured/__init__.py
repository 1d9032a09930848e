"""Measured costs: the time of thinned steps on a real machine, in place of their MACs."""
