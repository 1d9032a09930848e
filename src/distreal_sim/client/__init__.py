"""One client's round: its messages, its settings, and the one SGD loop."""
