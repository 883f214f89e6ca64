"""`make demo`: a clip of which everything is known, and what the service finds in it."""
