"""One request: planned, run in one pass over the video, and answered."""
