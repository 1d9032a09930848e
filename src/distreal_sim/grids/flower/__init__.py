"""Transport of jobs and updates as Flower messages."""
