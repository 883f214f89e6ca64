"""What objects and faces have in common: the fold of their detections, with or without tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from ipc.messages import MediaRange, VideoInfo
from ipc.results import Detection
from ipc.tracks import Sample, Samples, Tracked, TrackerState, Untracked
from server.tasks.task import Options, Task

# A worker tracks so many frames in a fraction of a second. Meanwhile no further chunk is sent.
TRACKED_AT_ONCE = 64


class TrackOptions(Options, frozen=True):
    """`track` follows the objects from frame to frame."""

    extensions: ClassVar[frozenset[str]] = frozenset({"track"})

    track: bool = False


OptionsT = TypeVar("OptionsT", bound=TrackOptions)


class Track(msgspec.Struct, frozen=True):
    """One object in several frames, and the frame in which its confidence is highest.

    `label` is that of most of its detections; `frames` is the number of its detections.
    """

    track_id: int
    label: str
    start_ms: int
    end_ms: int
    frames: int
    best_frame_index: int


class State(msgspec.Struct):
    """The items of the response; frames that are not tracked yet, and the tracker before them."""

    items: list[Any] = []
    untracked: list[Sample] = []
    tracker: TrackerState = TrackerState()


class Detections(Task[OptionsT, State]):
    """A task that finds boxes, and follows them from frame to frame if the request has `track`.

    Without `track`, a chunk's detections are items at once. With it, frames are gathered, and a
    message to a worker gives the tracks of their boxes. Its reply precedes all later frames.
    """

    result = list[Detection] | Samples | Tracked

    def item(self, found: Detection) -> Any:
        """An item of the response."""
        return found

    def start(self) -> State:
        """No items."""
        return State()

    def add(self, state: State, result: list[Detection] | Samples | Tracked) -> Sequence[Any]:
        """Append detections, gather frames, or append the detections of the gathered frames."""
        if isinstance(result, Samples):
            state.untracked += result.frames
            return []
        found = _with_tracks(state, result) if isinstance(result, Tracked) else result
        items = [self.item(detection) for detection in found]
        state.items += items
        return items

    def follow_up(self, state: State) -> Untracked | None:
        """The gathered frames, once there are enough."""
        return _untracked(state) if len(state.untracked) >= TRACKED_AT_ONCE else None

    def finish(self, state: State, video: VideoInfo, span: MediaRange) -> Untracked | None:
        """The gathered frames."""
        return _untracked(state) if state.untracked else None

    def fields(self, options: OptionsT, state: State) -> dict[str, Any]:
        """The detections, and their tracks if the request has `track`."""
        tracks = {"tracks": tracks_of(state.items)} if options.track else {}
        return {"detections": state.items, **tracks}


def tracks_of(items: Sequence[Any]) -> list[Track]:
    """The tracks of the items, which are in frame order; by `track_id`."""
    of_track: dict[int, list[Any]] = {}
    for item in items:
        if item.track_id is not None:
            of_track.setdefault(item.track_id, []).append(item)
    return [_track(track_id, of_track[track_id]) for track_id in sorted(of_track)]


def _track(track_id: int, items: Sequence[Any]) -> Track:
    ((label, _),) = Counter(item.label for item in items).most_common(1)
    best = max(items, key=lambda item: item.confidence)
    return Track(
        track_id,
        label,
        items[0].timestamp_ms,
        items[-1].timestamp_ms,
        len(items),
        best.frame_index,
    )


def _untracked(state: State) -> Untracked:
    times_ms = [frame.timestamp_ms for frame in state.untracked]
    return Untracked(times_ms, [frame.boxes for frame in state.untracked], state.tracker)


def _with_tracks(state: State, result: Tracked) -> list[Detection]:
    """The detections of the gathered frames, with the tracks of their boxes."""
    frames, state.untracked, state.tracker = state.untracked, [], result.tracker
    return [
        msgspec.structs.replace(detection, track_id=track_id)
        for frame, track_ids in zip(frames, result.track_ids, strict=True)
        for detection, track_id in zip(frame.detections, track_ids, strict=False)
    ]
