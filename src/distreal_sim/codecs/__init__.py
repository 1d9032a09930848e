"""What travels between server and clients, and how many bytes it takes."""
