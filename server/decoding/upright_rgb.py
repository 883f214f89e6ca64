"""Writes one decoded frame, upright, as RGB, at full size or scaled down."""

from __future__ import annotations

from typing import Protocol

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ipc.arena import Pixels

# Each caches the setup for its last size, which costs more than converting a small frame.
_full_size, _small = VideoReformatter(), VideoReformatter()


class Picture(Protocol):
    """A decoded frame."""

    def write(self, out: Pixels) -> None:
        """Fill `out`, (height, width, 3); scale if its size is not the frame's own."""


class RgbPicture:
    """A frame that its reader has already rotated and converted to RGB."""

    def __init__(self, rgb: Pixels) -> None:
        self._rgb = rgb

    def write(self, out: Pixels) -> None:
        """Copy, or scale bilinearly as PySceneDetect does."""
        _scale(self._rgb, out)


class AvPicture:
    """A frame in the codec's format, `rotation` degrees anticlockwise from upright."""

    def __init__(self, frame: av.VideoFrame, rotation: int) -> None:
        self._frame = frame
        self._turns = rotation // 90

    def write(self, out: Pixels) -> None:
        """Convert only the pixels that are needed: scale a small frame plane by plane."""
        height, width = out.shape[:2] if self._turns % 2 == 0 else out.shape[1::-1]
        if (self._frame.height, self._frame.width) == (height, width):
            out[:] = np.rot90(_rgb(self._frame, _full_size), self._turns)
        elif self._frame.format.name in ("yuv420p", "yuvj420p"):
            out[:] = np.rot90(_scaled_planes(self._frame, width, height), self._turns)
        else:
            _scale(np.rot90(_rgb(self._frame, _full_size), self._turns), out)


def _rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> Pixels:
    rgb = reformatter.reformat(frame, format="rgb24", threads=1)
    return np.asarray(rgb.to_ndarray(), np.uint8)


def _scale(rgb: Pixels, out: Pixels) -> None:
    if rgb.shape == out.shape:
        out[:] = rgb
    else:
        size = (out.shape[1], out.shape[0])
        out[:] = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_LINEAR)


def _scaled_planes(frame: av.VideoFrame, width: int, height: int) -> Pixels:
    """Scale Y, U and V each to (height, width), then convert; makes no full-size RGB."""
    planes = [
        cv2.resize(_plane(plane), (width, height), interpolation=cv2.INTER_LINEAR)
        for plane in frame.planes
    ]
    layout = "yuvj444p" if frame.format.name.startswith("yuvj") else "yuv444p"
    small = av.VideoFrame.from_ndarray(np.stack(planes), format=layout)
    small.colorspace = frame.colorspace
    small.color_range = frame.color_range
    return _rgb(small, _small)


def _plane(plane: av.video.plane.VideoPlane) -> Pixels:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
