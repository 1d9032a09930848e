"""Reading, comparing and drawing finished runs."""
