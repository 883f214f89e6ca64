"""WebVTT subtitles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from server.formats.format import Clip
from server.formats.subtitle_file import written
from server.formats.subtitles import Cue

NAME = "vtt"
MEDIA_TYPE = "text/vtt"
EXTENSION = "vtt"


def render(clip: Clip, items: Sequence[Cue]) -> bytes:
    """`&`, `<` and `>` are escaped, so no text is a tag or an arrow."""
    return written(items, "vtt", lambda line: escape(line, quote=False))
