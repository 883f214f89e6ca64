"""The input of a task: references to frames and audio in the arena, which messages carry."""

from __future__ import annotations

import msgspec


class FrameRef(msgspec.Struct, frozen=True, gc=False):
    """Where a frame is in the arena: (height, width, 3) RGB bytes from `offset`."""

    offset: int
    height: int
    width: int
    frame_index: int
    timestamp_ms: float


class AudioRef(msgspec.Struct, frozen=True, gc=False):
    """Where audio is in the arena: `samples` int16 values, mono at 16 kHz, from `offset`."""

    offset: int
    samples: int
    start_ms: float


class Frames(msgspec.Struct, frozen=True, tag=True):
    """One chunk of a video, in frame order.

    The first `context` frames are for comparison only; the result does not include them.
    """

    refs: tuple[FrameRef, ...]
    context: int = 0


class Audio(msgspec.Struct, frozen=True, tag=True):
    """Parts of a video's audio, one after the other.

    The file has the first `samples` of them; if it ends earlier than announced, zeros follow.
    `origin_ms` is when the analysed audio begins.
    """

    refs: tuple[AudioRef, ...]
    samples: int
    origin_ms: float


class Gathered(msgspec.Struct, frozen=True, tag=True):
    """The data that a task's fold gathered from all chunks: an encoded struct of the task."""

    data: msgspec.Raw


Subject = Frames | Audio | Gathered
