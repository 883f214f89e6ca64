"""`make demo`: one request for each task, and pictures of the answers."""
