"""Untrained stand-ins for weights that cannot be downloaded."""
