"""What a user can see before a run."""
