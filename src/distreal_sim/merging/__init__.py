"""How the server merges updates."""
