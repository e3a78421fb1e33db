"""How near is an image to the target image, and is it a good image at all."""
