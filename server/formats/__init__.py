"""Other formats of responses: one file per format, and what several of them have in common."""
