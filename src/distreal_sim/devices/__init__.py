"""The devices of the simulated clients: capacity, links, availability."""
