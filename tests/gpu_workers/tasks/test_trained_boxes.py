"""Objects and faces of trained weights against ultralytics' own `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clip_library import ClipLibrary, real
from frames_and_boxes import assert_same, clip_frames, corners, picture, predict
from ultralytics import YOLO

from bench.compare.precision_drift import match
from gpu_workers.inference import run
from gpu_workers.model import Runtime
from gpu_workers.tasks import faces, objects
from gpu_workers.tasks.objects import INPUT_SIZES
from gpu_workers.weights.store import WeightsStore
from ipc.results import Detection

if TYPE_CHECKING:
    from tests.conftest import FrameStore

OBJECTS, FACES = "yolov8n.pt", "yolov8n-face.pt"
HALF_A_SECOND = 15


def model_of(folder: Path, name: str, precision: str = "fp32") -> objects.Objects | faces.Faces:
    runtime = Runtime("cpu", precision, WeightsStore(folder))
    if name == FACES:
        return faces.load(faces.Spec(FACES, 0.5), runtime)
    return objects.load(objects.Spec(OBJECTS, 0.5, "balanced"), runtime)


@pytest.mark.trained(OBJECTS)
@pytest.mark.parametrize(
    ("name", "profile"),
    [
        *(("photographs.mp4", profile) for profile in INPUT_SIZES),
        ("everything.mp4", "balanced"),
        *((name, "balanced") for name in real("bottle-detection.mp4")),
    ],
)
def test_objects_equal_predict(
    trained_dir: Path,
    frame_store: FrameStore,
    clips: ClipLibrary,
    name: str,
    profile: str,
) -> None:
    frames = clip_frames(clips.path(name), 8, HALF_A_SECOND)
    spec = objects.Spec(OBJECTS, 0.5, profile)
    items = run(model_of(trained_dir, OBJECTS), spec, frame_store.put(frames), frame_store.view)
    reference = YOLO(trained_dir / OBJECTS)
    results = predict(reference, frames, conf=0.5, imgsz=INPUT_SIZES[profile])
    assert_same(items, results, reference.names)


@pytest.mark.trained(FACES)
@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("photographs.mp4", 0.5),
        ("everything.mp4", 0.3),
        *((n, 0.02) for n in real("nasa_13013.mp4")),
    ],
)
def test_faces_equal_predict(
    trained_dir: Path, frame_store: FrameStore, clips: ClipLibrary, name: str, threshold: float
) -> None:
    frames = clip_frames(clips.path(name), 16, HALF_A_SECOND)
    spec = faces.Spec(FACES, threshold)
    items = run(model_of(trained_dir, FACES), spec, frame_store.put(frames), frame_store.view)
    results = predict(YOLO(trained_dir / FACES), frames, conf=threshold)
    assert_same(items, results, {0: "face"})


@pytest.mark.trained(OBJECTS, FACES)
def test_known_photographs_show_what_they_do(trained_dir: Path, frame_store: FrameStore) -> None:
    frames = frame_store.put([picture("bus.jpg"), picture("zidane.jpg")])
    seen = run(
        model_of(trained_dir, OBJECTS),
        objects.Spec(OBJECTS, 0.5, "balanced"),
        frames,
        frame_store.view,
    )
    labels = [[item.label for item in seen if item.frame_index == frame] for frame in (0, 1)]
    assert labels[0].count("bus") == 1
    assert labels[0].count("person") >= 3
    assert labels[1].count("person") == 2
    met = run(model_of(trained_dir, FACES), faces.Spec(FACES, 0.5), frames, frame_store.view)
    assert sum(item.frame_index == 1 for item in met) == 2


@pytest.mark.trained(OBJECTS, FACES)
@pytest.mark.parametrize("name", [OBJECTS, FACES])
def test_bf16_finds_the_boxes_of_fp32(
    trained_dir: Path, frame_store: FrameStore, clips: ClipLibrary, name: str
) -> None:
    frames = frame_store.put(clip_frames(clips.path("photographs.mp4"), 8, HALF_A_SECOND))
    spec = faces.Spec(FACES, 0.5) if name == FACES else objects.Spec(OBJECTS, 0.5, "balanced")
    full, half = (
        run(model_of(trained_dir, name, precision), spec, frames, frame_store.view)
        for precision in ("fp32", "bf16")
    )
    assert len(full) >= 10
    assert len(half) >= 10
    found = sum(len(matched(full, half, index)) for index in range(8))
    assert found >= 0.9 * max(len(full), len(half))


def matched(first: list[Detection], second: list[Detection], index: int) -> list[tuple[int, int]]:
    """The boxes of one frame that are in both lists, at an IoU of 0.9."""
    boxes = [
        [corners(item) for item in items if item.frame_index == index] for items in (first, second)
    ]
    return match(*boxes, 0.9)
