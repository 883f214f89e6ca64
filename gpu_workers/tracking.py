"""Tracking: ultralytics' ByteTrack, whose state travels with the messages.

Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", 2022.
"""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from ultralytics.engine.results import Boxes
from ultralytics.trackers.byte_tracker import BYTETracker, STrack

from ipc.tracks import LiveTrack, Tracked, TrackerState, Untracked

# The defaults of ultralytics' bytetrack.yaml. Boxes with lower scores than HIGH_SCORE continue
# tracks but never start one.
HIGH_SCORE = 0.25
LOW_SCORE = 0.1
MAX_DISTANCE = 0.8
LOST_MS = 1000.0  # 30 frames at 30 frames per second

BOX_COLUMNS = 6
_MEAN, _COVARIANCE = 8, (8, 8)


def lowest_score(confidence_threshold: float) -> float:
    """The lowest score of the boxes that the tracker needs."""
    return min(LOW_SCORE, confidence_threshold)


def track(untracked: Untracked, confidence_threshold: float) -> Tracked:
    """Find the track of each box; the reported boxes exceed `confidence_threshold`."""
    tracker = _Tracker(confidence_threshold, untracked.tracker)
    track_ids = [
        tracker.step(time_ms, np.frombuffer(boxes, np.float32).reshape(-1, BOX_COLUMNS))
        for time_ms, boxes in zip(untracked.times_ms, untracked.boxes, strict=True)
    ]
    return Tracked(track_ids, tracker.save())


class _Tracker(BYTETracker):  # type: ignore[misc]  # ultralytics has no types
    """ByteTrack that starts from a state, and limits by time how long a track may be lost.

    Only boxes that are reported start tracks.
    """

    def __init__(self, confidence_threshold: float, state: TrackerState) -> None:
        high = max(HIGH_SCORE, confidence_threshold)
        super().__init__(
            SimpleNamespace(
                track_high_thresh=high,
                track_low_thresh=lowest_score(confidence_threshold),
                new_track_thresh=high,
                track_buffer=0,  # `step` sets it
                match_thresh=MAX_DISTANCE,
                fuse_score=True,
            )
        )
        self.frame_id = state.step
        self.tracked_stracks = [self._restored(live) for live in state.tracked]
        self.lost_stracks = [self._restored(live) for live in state.lost]
        self.removed_stracks = [SimpleNamespace(track_id=i) for i in state.removed_ids]
        self._ids = count(state.last_id + 1)
        self._last_id = state.last_id
        self._recent_ms = state.recent_ms
        self._taken: dict[int, int] = {}

    def step(self, time_ms: float, boxes: npt.NDArray[np.float32]) -> list[int | None]:
        """The track of each box of the next frame."""
        recent_ms = [ms for ms in self._recent_ms if time_ms - ms <= LOST_MS]
        self.max_frames_lost = len(recent_ms)
        self._recent_ms = [*recent_ms, time_ms]
        self.update(Boxes(boxes, (0, 0)))
        self._last_id = max([self._last_id, *self._taken.values()])
        return [self._taken.get(row) for row in range(len(boxes))]

    def save(self) -> TrackerState:
        """The state after the last step."""
        return TrackerState(
            self.frame_id,
            self._last_id,
            self._recent_ms,
            [_saved(live) for live in self.tracked_stracks],
            [_saved(live) for live in self.lost_stracks],
            [gone.track_id for gone in self.removed_stracks],
        )

    def _init_new_tracks(
        self, unmatched: Any, boxes: Any, activated: list[STrack], found_again: list[STrack]
    ) -> None:
        """Start tracks; record which track took which box, also if it is not confirmed yet."""
        super()._init_new_tracks(unmatched, boxes, activated, found_again)
        self._taken = {int(live.idx): live.track_id for live in (*activated, *found_again)}

    def _restored(self, live: LiveTrack) -> STrack:
        track = STrack(np.zeros(5), 0.0, 0)
        values = np.frombuffer(live.kalman).copy()
        track.mean, track.covariance = values[:_MEAN], values[_MEAN:].reshape(_COVARIANCE)
        track.kalman_filter = self.kalman_filter
        track.track_id = live.track_id
        track.start_frame, track.frame_id = live.first_step, live.last_step
        track.is_activated, track.state = live.confirmed, live.state
        return track


def _saved(track: STrack) -> LiveTrack:
    return LiveTrack(
        track.track_id,
        track.start_frame,
        track.frame_id,
        track.is_activated,
        track.state,
        track.mean.tobytes() + track.covariance.tobytes(),
    )
