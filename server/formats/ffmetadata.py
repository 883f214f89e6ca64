"""Chapters as FFmpeg's metadata file has them: `ffmpeg -i VIDEO -i FILE -map_chapters 1 …`."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.results import Scene
from server.formats.format import Clip

NAME = "ffmetadata"
MEDIA_TYPE = "application/x-ffmetadata"
EXTENSION = "ffmetadata"

CHAPTER = """
[CHAPTER]
TIMEBASE=1/1000
START={scene.start_ms}
END={scene.end_ms}
title=Scene {number}
"""


def render(clip: Clip, items: Sequence[Scene]) -> bytes:
    """One chapter per scene."""
    chapters = (CHAPTER.format(scene=scene, number=scene.scene_index + 1) for scene in items)
    return ";FFMETADATA1\n{}".format("".join(chapters)).encode()
