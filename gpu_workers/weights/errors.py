"""The error for a missing or unverified model."""


class ModelUnavailable(Exception):
    """A model cannot be used. The message says which one, why, and what to do."""
