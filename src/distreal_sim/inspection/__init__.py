"""Plans, estimates and tables that a user can see before a run."""
