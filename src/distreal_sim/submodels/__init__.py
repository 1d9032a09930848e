"""Sub-networks of fixed shape that several methods share."""
