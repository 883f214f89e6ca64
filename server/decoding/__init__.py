"""The decoder process, and all that runs only in it."""
