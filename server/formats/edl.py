"""An edit decision list, CMX 3600. Timecodes count from zero; of 29.97 and 59.94, drop-frame."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.results import Scene
from server.formats.format import Clip
from server.formats.timeline import timeline

NAME = "edl"
MEDIA_TYPE = "application/x-edl"
EXTENSION = "edl"

# Timecodes exist for these only. For another rate, the nearest one is used, and times stay right.
DROP_FRAME = (30000 / 1001, 60000 / 1001)
RATES = (24000 / 1001, 24.0, 25.0, 30.0, 48.0, 50.0, 60.0, *DROP_FRAME)


def render(clip: Clip, items: Sequence[Scene]) -> bytes:
    """One event per scene, of the reel AX, as is usual for files."""
    from otio_cmx3600_adapter import cmx_3600  # not at the top: it is needed here only

    rate = min(RATES, key=lambda known: abs(known - clip.video.fps))
    whole = timeline(clip, items, rate)
    shots = whole.find_clips()
    for shot in shots:
        shot.name = clip.name
        shot.metadata["cmx_3600"] = {"reel": "AX"}
    # The library does not write an empty list.
    written = cmx_3600.write_to_string(whole, rate=rate) if shots else f"TITLE: {clip.stem}\n"
    title, events = written.split("\n", 1)
    mode = "DROP FRAME" if rate in DROP_FRAME else "NON-DROP FRAME"
    return f"{title}\nFCM: {mode}\n{events}".encode()
