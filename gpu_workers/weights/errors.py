"""The error a missing or doubtful model raises."""


class ModelUnavailable(Exception):
    """A model cannot be used; the message says which, why, and what to do about it."""
