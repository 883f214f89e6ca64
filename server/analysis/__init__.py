"""Runs one request: plans it, runs it in one pass over the video, builds its responses."""
