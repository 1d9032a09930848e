"""Simulator of federated learning on devices whose compute budget is small, unequal and changing."""

import os

# Flower and Ray read these when they are imported: nothing is reported to anybody, and Ray listens on
# loopback only, also on Linux, in spite of the variable's name.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as future versions do; else Ray warns
