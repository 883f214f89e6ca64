"""Plain text, one line per item."""

from __future__ import annotations

from collections.abc import Sequence

from server.formats.format import Clip

NAME = "txt"
MEDIA_TYPE = "text/plain"
EXTENSION = "txt"


def render(clip: Clip, items: Sequence[str]) -> bytes:
    """The texts; line breaks within one become spaces."""
    lines = (" ".join(item.split()) for item in items)
    return "".join(f"{line}\n" for line in lines if line).encode()
