"""The thinning engine: finds a network's coupled channels and trains it with some channels dropped."""
