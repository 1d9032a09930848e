"""The grid whose workers are Ray actors."""
