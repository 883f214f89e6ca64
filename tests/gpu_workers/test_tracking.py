"""Tracks against ultralytics' own ByteTrack on the same boxes and on the same frames."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
from clip_library import ClipLibrary
from frames_and_boxes import clip_frames
from ultralytics import YOLO
from ultralytics.engine.results import Boxes
from ultralytics.trackers import BYTETracker
from ultralytics.utils import YAML

from gpu_workers.model import Runtime
from gpu_workers.tasks import objects
from gpu_workers.tasks.objects import Objects
from gpu_workers.tracking import LOST_MS, track
from gpu_workers.weights.store import WeightsStore
from ipc.subjects import Gathered
from ipc.tracks import Samples, Tracked, TrackerState, Untracked

if TYPE_CHECKING:
    from tests.conftest import FrameStore

STEP_MS = 40.0
DEFAULTS = {
    "tracker_type": "bytetrack",
    "track_high_thresh": 0.25,
    "track_low_thresh": 0.1,
    "new_track_thresh": 0.25,
    "track_buffer": round(LOST_MS / STEP_MS),
    "match_thresh": 0.8,
    "fuse_score": True,
}
Rows = np.ndarray  # x1, y1, x2, y2, score, class


def crowd(seed: int, frames: int = 150, objects: int = 12) -> list[Rows]:
    """Boxes that walk, cross, vanish for a while and have any score; none in every 31st frame."""
    rng = np.random.default_rng(seed)
    centre, speed = rng.uniform(100, 500, (objects, 2)), rng.normal(0, 3, (objects, 2))
    size = rng.uniform(30, 90, (objects, 2))
    hidden = np.zeros(objects, int)
    found = []
    for frame in range(frames):
        centre += speed + rng.normal(0, 0.8, (objects, 2))
        hidden = np.maximum(hidden - 1, 0) + (rng.uniform(size=objects) < 0.02) * 40
        seen = (hidden == 0) & (rng.uniform(size=objects) < 0.9) & (frame % 31 != 30)
        scores = np.where(rng.uniform(size=objects) < 0.2, 0.15, rng.uniform(0.3, 1, objects))
        rows = np.column_stack([centre - size / 2, centre + size / 2, scores, np.zeros(objects)])
        rows = rows[seen].astype(np.float32)
        found.append(rows[np.argsort(-rows[:, 4], kind="stable")])
    return found


def ours(
    frames: list[Rows], group: int, threshold: float = 0.1, step_ms: float = STEP_MS
) -> list[list[int | None]]:
    """The track of each box, `group` frames per message; each message travels encoded."""
    track_ids: list[list[int | None]] = []
    state = TrackerState()
    for start in range(0, len(frames), group):
        some = frames[start : start + group]
        times_ms = [(start + i) * step_ms for i in range(len(some))]
        asked = msgspec.msgpack.encode(Untracked(times_ms, [r.tobytes() for r in some], state))
        done = track(msgspec.msgpack.decode(asked, type=Untracked), threshold)
        done = msgspec.msgpack.decode(msgspec.msgpack.encode(done), type=Tracked)
        track_ids += done.track_ids
        state = done.tracker
    return track_ids


def theirs(frames: list[Rows], threshold: float = 0.1) -> list[dict[int, int]]:
    """What ultralytics reports, frame by frame: the id of a box by its row."""
    high = max(0.25, threshold)
    tracker = BYTETracker(
        SimpleNamespace(**DEFAULTS | {"track_high_thresh": high, "new_track_thresh": high})
    )
    found = []
    for rows in frames:
        reported = tracker.update(Boxes(rows, (600, 600)))
        found.append({int(row[-1]): int(row[4]) for row in reported})
    return found


@pytest.mark.parametrize("threshold", [0.1, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_ids_are_those_of_ultralytics_in_messages_of_any_size(seed: int, threshold: float) -> None:
    frames = crowd(seed)
    expected = theirs(frames, threshold)
    found = ours(frames, len(frames), threshold)
    assert ours(frames, 1, threshold) == ours(frames, 7, threshold) == found
    assert sum(map(len, expected)) > 400
    for reported, track_ids in zip(expected, found, strict=True):
        assert {row: track_ids[row] for row in reported} == reported


@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_ids_are_dense_and_every_box_that_may_start_a_track_has_one(threshold: float) -> None:
    frames = crowd(5)
    found = ours(frames, 64, threshold)
    first_seen = list(dict.fromkeys(i for ids in found for i in ids if i is not None))
    assert first_seen == list(range(1, len(first_seen) + 1))
    for rows, ids in zip(frames, found, strict=True):
        strong = rows[:, 4] >= max(0.25, threshold)
        assert None not in [i for i, may_start in zip(ids, strong, strict=True) if may_start]
        known = [i for i in ids if i is not None]
        assert len(set(known)) == len(known)


def test_weak_boxes_continue_a_track_and_start_none() -> None:
    def box(score: float) -> Rows:
        return np.array([[100, 100, 160, 160, score, 0]], np.float32)

    scores = [0.3, 0.3, 0.9, 0.9, *[0.3] * 40, 0.9]
    found = ours([box(score) for score in scores], 8, threshold=0.5)
    assert found == [[None], [None], *[[1]] * 43]


@pytest.mark.parametrize(("step_ms", "again"), [(50.0, 1), (200.0, 2)])
def test_an_object_may_be_lost_for_a_second(step_ms: float, again: int) -> None:
    """Twelve frames without it are 0.6 s or 2.4 s."""
    box = np.array([[100, 100, 160, 160, 0.9, 0]], np.float32)
    frames = [box, box, *[box[:0]] * 12, box, box]
    assert ours(frames, 4, step_ms=step_ms)[-1] == [again]


def test_one_message_per_frame_leaves_nothing_behind() -> None:
    """The state has live tracks and recent times only, however long the video is."""
    state = TrackerState()
    sizes = []
    for frame in range(400):
        far = 100.0 * (frame // 2)  # a new object every other frame
        row = np.array([[far, 0, far + 50, 50, 0.9, 0]], np.float32)
        state = track(Untracked([frame * STEP_MS], [row.tobytes()], state), 0.5).tracker
        sizes.append(len(state.tracked) + len(state.lost) + len(state.recent_ms))
    assert state.last_id == 200
    assert max(sizes[200:]) <= max(sizes[:200]) < 100


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    store = WeightsStore(tmp_path_factory.mktemp("empty"))
    spec = objects.Spec("shapes.pt", 0.1, "balanced", None, True)
    return objects.load(spec, Runtime("cpu", "fp32", store))


def sampled(model: Objects, store: FrameStore, frames: list[np.ndarray], spec: objects.Spec):
    """The result of a chunk, with the model's three steps."""
    chunk = store.put(frames)
    inputs = model.preprocess(spec, chunk, store.view)
    return model.postprocess(spec, chunk, model.infer(spec, inputs))


def test_ids_are_those_of_ultralytics_on_the_same_frames(
    shapes: Objects, frame_store: FrameStore, clips: ClipLibrary, tmp_path: Path
) -> None:
    frames = clip_frames(clips.path("takes.mp4"), 40, 1)
    spec = objects.Spec("shapes.pt", 0.1, "balanced", None, True)
    found = sampled(shapes, frame_store, frames, spec)
    assert isinstance(found, Samples)
    times_ms = [sample.timestamp_ms for sample in found.frames]
    untracked = Untracked(times_ms, [sample.boxes for sample in found.frames], TrackerState())
    asked = Gathered(msgspec.Raw(msgspec.msgpack.encode(untracked)))
    inputs = shapes.preprocess(spec, asked, frame_store.view)
    tracked = shapes.postprocess(spec, asked, shapes.infer(spec, inputs))

    YAML.save(tmp_path / "bytetrack.yaml", DEFAULTS)
    weights = Path(objects.__file__).parent.parent / "weights" / "shapes.pt"
    reference, threads = YOLO(weights), torch.get_num_threads()
    options = {"persist": True, "conf": 0.1, "tracker": tmp_path / "bytetrack.yaml"}
    shown = 0
    for frame, sample, ids in zip(frames, found.frames, tracked.track_ids, strict=True):
        bgr = np.ascontiguousarray(frame[..., ::-1])
        (result,) = reference.track(bgr, verbose=False, **options)
        own = [
            (item.label, item.confidence, i) for item, i in zip(sample.detections, ids, strict=True)
        ]
        for *_, track_id, score, class_id in result.boxes.data.cpu().tolist():
            near = min(own, key=lambda found: abs(found[1] - score))
            assert (near[0], near[2]) == (reference.names[int(class_id)], int(track_id))
            shown += 1
    torch.set_num_threads(threads)
    assert shown >= 60


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.9])
def test_the_detections_are_those_of_a_request_without_tracks(
    weights_dir: Path, frame_store: FrameStore, clips: ClipLibrary, threshold: float
) -> None:
    frames = clip_frames(clips.path("takes.mp4"), 3, 30)
    plain = objects.Spec("yolov8n.pt", threshold, "balanced")
    model = objects.load(plain, Runtime("cpu", "fp32", WeightsStore(weights_dir)))
    expected = sampled(model, frame_store, frames, plain)
    spec = msgspec.structs.replace(plain, track=True)
    found = sampled(model, frame_store, frames, spec)
    assert [item for sample in found.frames for item in sample.detections] == expected
    boxes = [np.frombuffer(sample.boxes, np.float32).reshape(-1, 6) for sample in found.frames]
    for sample, rows in zip(found.frames, boxes, strict=True):
        reported, others = np.split(rows, [len(sample.detections)])
        assert (reported[:, 4] > threshold).all()
        assert (others[:, 4] < threshold).all()
        assert [round(x, 2) for x in reported[:, 0].tolist()] == [
            item.bbox.x for item in sample.detections
        ]
    more = sum(map(len, boxes)) > len(expected)
    assert more == (threshold > 0.1)
