"""A LitServe server around the same models, and the client that asks it."""
