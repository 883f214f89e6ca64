"""The fold of detections: items at once, or gathered until a worker has tracked them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ipc.messages import MediaRange, VideoInfo
from ipc.results import BBox, Detection
from ipc.tracks import Sample, Samples, Tracked, TrackerState
from server.tasks.detections import TRACKED_AT_ONCE, Track, tracks_of
from server.tasks.faces import Face, Faces, FacesOptions
from server.tasks.objects import Objects, ObjectsOptions

VIDEO = VideoInfo(640, 360, 30.0, 100, 3333)
SPAN = MediaRange(0, 100, 0.0, 3333.0, None, None)


def found(frame: int, label: str = "car", confidence: float = 0.5, **fields: Any) -> Detection:
    return Detection(frame, frame * 40, label, confidence, BBox(0.0, 0.0, 9.0, 9.0), **fields)


def sample(frame: int, count: int = 1) -> Sample:
    return Sample(frame * 40.0, [found(frame)] * count, b"boxes %d" % frame)


def test_detections_without_track_are_items_at_once() -> None:
    task, state = Objects(), Objects().start()
    assert task.add(state, [found(0), found(1)]) == [found(0), found(1)]
    assert task.follow_up(state) is None
    assert task.finish(state, VIDEO, SPAN) is None
    fields = task.fields(ObjectsOptions(), state)
    assert fields == {"model_profile": "balanced", "detections": [found(0), found(1)]}
    assert b"track" not in msgspec.json.encode(fields)


def test_frames_are_gathered_until_a_worker_has_tracked_them() -> None:
    task, state = Objects(), Objects().start()
    frames = [sample(i) for i in range(TRACKED_AT_ONCE - 1)]
    assert task.add(state, Samples(frames)) == []
    assert task.follow_up(state) is None
    assert task.add(state, Samples([sample(TRACKED_AT_ONCE - 1, 0)])) == []
    asked = task.follow_up(state)
    assert asked is not None
    assert asked.times_ms == [i * 40.0 for i in range(TRACKED_AT_ONCE)]
    assert (asked.boxes[5], asked.tracker) == (b"boxes 5", TrackerState())

    after = TrackerState(step=TRACKED_AT_ONCE, last_id=1)
    items = task.add(state, Tracked([[1]] * (TRACKED_AT_ONCE - 1) + [[7]], after))
    assert items == [found(i, track_id=1) for i in range(TRACKED_AT_ONCE - 1)]
    assert task.follow_up(state) is None
    task.add(state, Samples([sample(90, 2)]))
    last = task.finish(state, VIDEO, SPAN)
    assert last is not None
    assert (last.times_ms, last.tracker) == ([3600.0], after)
    items = task.add(state, Tracked([[1, None, 5]], after))
    assert items == [found(90, track_id=1), found(90, track_id=None)]
    fields = task.fields(ObjectsOptions(track=True), state)
    assert fields["tracks"] == [Track(1, "car", 0, 3600, TRACKED_AT_ONCE, 0)]
    assert task.finish(state, VIDEO, SPAN) is None


def test_faces_have_tracks_too() -> None:
    task, state = Faces(), Faces().start()
    task.add(state, Samples([sample(3)]))
    (face,) = task.add(state, Tracked([[2]], TrackerState()))
    assert isinstance(face, Face)
    assert (face.frame_index, face.track_id, face.cluster_id) == (3, 2, None)
    assert task.fields(FacesOptions(track=True), state)["tracks"][0].track_id == 2


def test_no_frames_have_no_tracks() -> None:
    fields = Faces().fields(FacesOptions(track=True), Faces().start())
    assert fields == {"detections": [], "tracks": []}


@pytest.mark.parametrize(("labels", "expected"), [("ctt", "t"), ("ctct", "c"), ("tcct", "t")])
def test_a_track_has_the_label_of_most_detections_or_the_first(labels: str, expected: str) -> None:
    items = [found(i, label, track_id=1) for i, label in enumerate(labels)]
    assert tracks_of(items)[0].label == expected


def test_the_best_frame_is_the_first_with_the_highest_confidence() -> None:
    items = [found(i, "a", c, track_id=4) for i, c in ((2, 0.5), (4, 0.8), (6, 0.8), (9, 0.7))]
    other = [found(5, "b", 0.9, track_id=3), found(5, "b", 0.1, track_id=None)]
    assert tracks_of([*items, *other]) == [
        Track(3, "b", 200, 200, 1, 5),
        Track(4, "a", 80, 360, 4, 4),
    ]


def test_track_joins_the_config_only_if_it_is_true() -> None:
    assert "track" not in Faces().config(FacesOptions())
    assert Faces().config(FacesOptions(track=True))["track"] is True
    assert Objects().config(ObjectsOptions(track=True, classes=["car"])).keys() >= {
        "track",
        "classes",
    }
