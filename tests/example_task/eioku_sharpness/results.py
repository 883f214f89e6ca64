"""What the worker sends for each frame, and the client gets."""

from __future__ import annotations

import msgspec


class FrameQuality(msgspec.Struct, frozen=True):
    """`sharpness` is the variance of the Laplacian, `brightness` the mean luma from 0 to 1."""

    frame_index: int
    timestamp_ms: int
    sharpness: float
    brightness: float
