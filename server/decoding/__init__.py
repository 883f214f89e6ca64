"""The decoder process, and the code that runs only in it."""
