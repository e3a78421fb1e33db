"""A TOML file to rules, split, training rows and requests."""
