"""A LitServe server with the same models, and its client."""
