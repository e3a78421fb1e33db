"""Does a clip move as the real one does."""
