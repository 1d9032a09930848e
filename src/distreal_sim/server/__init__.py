"""The server: which clients it selects, and when they start and their results are merged."""
