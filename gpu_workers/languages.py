"""The error of the two tasks that read or hear a language."""

from gpu_workers.model import InvalidSpec


class UnsupportedLanguage(InvalidSpec):
    """The model does not know the language asked for, or not together with the others."""
