"""Build the container image, and try it."""
