"""SubRip subtitles."""

from __future__ import annotations

from collections.abc import Sequence

from server.formats.format import Clip
from server.formats.subtitle_file import written
from server.formats.subtitles import Cue

NAME = "srt"
MEDIA_TYPE = "application/x-subrip"
EXTENSION = "srt"


def render(clip: Clip, items: Sequence[Cue]) -> bytes:
    """The text is as it is: the format has no escapes."""
    return written(items, "srt")
