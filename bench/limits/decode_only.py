"""Decodes a whole clip and discards the frames, with each decoding engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import av
import cv2
import decord

SAMPLED = "decord, every 30th frame: next, skip_frames(29)"
DECODED = "PyAV, decode only"
_SKIPPED = 29


def _decord(path: Path) -> None:
    reader = decord.VideoReader(str(path))
    for _ in range(len(reader)):
        reader.next()


def _decord_sampled(path: Path) -> None:
    reader = decord.VideoReader(str(path))
    for index in range(0, len(reader), _SKIPPED + 1):
        reader.next()
        reader.skip_frames(min(_SKIPPED, len(reader) - index - 1))


def _pyav(path: Path, skipped: str = "NONE", rgb: bool = False) -> None:
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.skip_frame = skipped
        for frame in clip.decode(stream):
            if rgb:
                cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2RGB_I420)


def _pyav_rgb(path: Path) -> None:
    _pyav(path, rgb=True)


def _keyframes(path: Path) -> None:
    _pyav(path, skipped="NONKEY")


ENGINES: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {
        "decord, every frame as RGB: next": _decord,
        SAMPLED: _decord_sampled,
        DECODED: _pyav,
        "PyAV, every frame as RGB": _pyav_rgb,
        "PyAV, keyframes only": _keyframes,
    }
)


def frame_count(path: Path) -> int:
    """The number of frames of a clip."""
    with av.open(str(path)) as clip:
        count: int = clip.streams.video[0].frames
        return count
