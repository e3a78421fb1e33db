"""Generated images to scores."""
