"""Tracking: what the front and the workers send each other about the boxes of a request.

A message has the state of the tracker after the previous one, so any worker can continue.
"""

from __future__ import annotations

import msgspec

from ipc.results import Detection


class Sample(msgspec.Struct, frozen=True):
    """One analysed frame: the detections that are reported, and all boxes for the tracker.

    `boxes` has rows of float32: x1, y1, x2, y2 in pixels of the frame, score, class. Those of
    `detections` come first, in the same order; the others only help to follow the objects.
    """

    timestamp_ms: float
    detections: list[Detection]
    boxes: bytes


class Samples(msgspec.Struct, frozen=True, tag=True):
    """The frames of one chunk, also those without any box."""

    frames: list[Sample]


class LiveTrack(msgspec.Struct, frozen=True):
    """A track that may continue. A step is one analysed frame, counted from 1.

    `state` is ultralytics' `TrackState`. `kalman` has float64 values: the filter's mean (8), then
    its covariance (8 × 8).
    """

    track_id: int
    first_step: int
    last_step: int
    confirmed: bool
    state: int
    kalman: bytes


class TrackerState(msgspec.Struct, frozen=True):
    """The state of the tracker after `step` frames, `recent_ms` the times of the last ones."""

    step: int = 0
    last_id: int = 0
    recent_ms: list[float] = []
    tracked: list[LiveTrack] = []
    lost: list[LiveTrack] = []
    removed_ids: list[int] = []


class Untracked(msgspec.Struct, frozen=True):
    """The next frames for the tracker: their times, their boxes, and its state before them."""

    times_ms: list[float]
    boxes: list[bytes]
    tracker: TrackerState


class Tracked(msgspec.Struct, frozen=True, tag=True):
    """The track of each box of these frames (null: none), and the tracker's state after them."""

    track_ids: list[list[int | None]]
    tracker: TrackerState
