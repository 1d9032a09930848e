"""What experiments would do, replayed without training."""
