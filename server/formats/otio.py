"""OpenTimelineIO's own format, JSON, at the frame rate of the video."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.results import Scene
from server.formats.format import Clip
from server.formats.timeline import timeline

NAME = "otio"
MEDIA_TYPE = "application/x-otio+json"
EXTENSION = "otio"


def render(clip: Clip, items: Sequence[Scene]) -> bytes:
    """The media reference is the video's file name, relative to the file."""
    return str(timeline(clip, items, clip.video.fps or 1000).to_json_string()).encode()
