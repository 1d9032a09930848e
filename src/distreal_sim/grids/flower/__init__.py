"""The transport through Flower's messages."""
