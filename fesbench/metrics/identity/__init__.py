"""Is it still the same face."""
