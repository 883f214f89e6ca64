"""Scenes as a timeline of OpenTimelineIO: one track, one clip per scene, no gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ipc.results import Scene
from server.formats.format import Clip

if TYPE_CHECKING:
    from opentimelineio.schema import Timeline


def timeline(clip: Clip, scenes: Sequence[Scene], rate: float) -> Timeline:
    """Times in whole frames of `rate`; a scene that is shorter than one frame is left out."""
    import opentimelineio as otio  # not at the top: it is needed for two formats only

    def at(milliseconds: int) -> otio.opentime.RationalTime:
        return otio.opentime.RationalTime(round(milliseconds * rate / 1000), rate)

    def span(start_ms: int, end_ms: int) -> otio.opentime.TimeRange:
        return otio.opentime.range_from_start_end_time(at(start_ms), at(end_ms))

    track = otio.schema.Track(name="scenes", kind=otio.schema.TrackKind.Video)
    for scene in scenes:
        if at(scene.end_ms) > at(scene.start_ms):
            end_ms = max(clip.video.duration_ms, scenes[-1].end_ms)
            media = otio.schema.ExternalReference(quote(clip.name), span(0, end_ms))
            media.name = clip.name
            source = span(scene.start_ms, scene.end_ms)
            track.append(otio.schema.Clip(f"Scene {scene.scene_index + 1}", media, source))
    whole = otio.schema.Timeline(name=clip.stem)
    whole.tracks.append(track)
    return whole
