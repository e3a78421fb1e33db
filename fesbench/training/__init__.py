"""The training loop, its state, its health."""
