"""How jobs reach the simulated clients: in this process, or as Flower messages to Ray actors."""
