"""How near are the distributions of generated and real images."""
