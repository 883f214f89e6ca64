"""The errors of weights: a model that cannot be used, and a source that does not give a file."""


class ModelUnavailable(Exception):
    """A model cannot be used. The message says which one, why, and what to do."""


class SourceFailed(Exception):
    """A hub or a mirror did not give a file, or gave another one. The message says why."""
