"""Objects against ultralytics' own `predict` on the same frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
from clip_library import ClipLibrary, real
from frames_and_boxes import assert_same, clip_frames, corners, picture, predict, same
from ultralytics import YOLO
from ultralytics.nn.tasks import ClassificationModel

from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.tasks import objects
from gpu_workers.tasks.objects import INPUT_SIZES, Objects
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore
from ipc.results import Detection
from ipc.subjects import Frames

if TYPE_CHECKING:
    from tests.conftest import FrameStore

SPEC = objects.Spec("yolov8n.pt", 0.5, "balanced")


def run(model: Objects, spec: objects.Spec, store: FrameStore, frames: Frames) -> list[Detection]:
    inputs = model.preprocess(spec, frames, store.view)
    return model.postprocess(spec, frames, model.infer(spec, inputs))


@pytest.fixture(scope="module")
def model(weights_dir: Path) -> Objects:
    return objects.load(SPEC, Runtime("cpu", "fp32", WeightsStore(weights_dir)))


@pytest.fixture(scope="module")
def reference(weights_dir: Path) -> YOLO:
    return YOLO(weights_dir / "yolov8n.pt")


@pytest.fixture(scope="module", params=["takes.mp4", *real("car-detection.mp4")])
def takes(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[np.ndarray]:
    """Shapes, text, shapes again and a photograph; or four frames of a real clip."""
    return clip_frames(clips.path(request.param), 4, 30)


@pytest.mark.parametrize("profile", INPUT_SIZES)
def test_takes_equal_predict(model, reference, frame_store, takes, profile: str):
    spec = msgspec.structs.replace(SPEC, model_profile=profile)
    items = run(model, spec, frame_store, frame_store.put(takes))
    assert_same(
        items, predict(reference, takes, conf=0.5, imgsz=INPUT_SIZES[profile]), reference.names
    )


@pytest.mark.parametrize("name", ["everything.mp4", *real("bottle-detection.mp4")])
def test_a_clip_equals_predict(model, reference, frame_store, clips: ClipLibrary, name: str):
    frames = clip_frames(clips.path(name), 3, 80)
    items = run(model, SPEC, frame_store, frame_store.put(frames))
    assert_same(items, predict(reference, frames, conf=0.5), reference.names)


@pytest.mark.parametrize("name", ["bus.jpg", "zidane.jpg"])
def test_a_picture_equals_predict(model, reference, frame_store, name: str):
    frames = [picture(name)]
    spec = msgspec.structs.replace(SPEC, confidence_threshold=0.3)
    items = run(model, spec, frame_store, frame_store.put(frames))
    assert_same(items, predict(reference, frames, conf=0.3), reference.names)


def test_frames_of_two_sizes_equal_predict(model, reference, frame_store, takes):
    pictures = [takes[0], np.ascontiguousarray(takes[1][:, :400])]
    items = run(model, SPEC, frame_store, frame_store.put(pictures))
    assert_same(items, predict(reference, pictures, conf=0.5), reference.names)


def test_items_are_ordered_rounded_and_inside_the_frame(model, frame_store, takes):
    items = run(model, SPEC, frame_store, frame_store.put(takes, interval=30))
    assert len(items) >= 10
    assert items == sorted(items, key=lambda item: (item.frame_index, -item.confidence))
    assert {item.timestamp_ms for item in items} <= {0, 1200, 2400, 3600}
    height, width, _ = takes[0].shape
    for item in items:
        x1, y1, x2, y2 = corners(item)
        assert -0.01 <= x1 <= x2 <= width + 0.01
        assert -0.01 <= y1 <= y2 <= height + 0.01
        assert item.confidence == round(item.confidence, 4)


def test_two_calls_give_the_same_bytes(model, frame_store, takes):
    frames = frame_store.put(takes[:2])
    first, second = (
        msgspec.msgpack.encode(run(model, SPEC, frame_store, frames)) for _ in range(2)
    )
    assert first == second


def test_a_call_leaves_no_trace_in_the_next(model, frame_store, takes):
    frames = frame_store.put(takes[:2])
    alone = run(model, SPEC, frame_store, frames)
    run(model, objects.Spec("yolov8n.pt", 0.1, "fast"), frame_store, frames)
    assert run(model, SPEC, frame_store, frames) == alone


def test_classes_keep_only_their_labels(model, reference, frame_store, takes):
    frames = frame_store.put(takes)
    spec = msgspec.structs.replace(SPEC, confidence_threshold=0.3)
    counts = {}
    for item in run(model, spec, frame_store, frames):
        counts[item.label] = counts.get(item.label, 0) + 1
    wanted = sorted(counts, key=counts.__getitem__)[-3:]
    spec = msgspec.structs.replace(spec, classes=tuple(wanted))
    ids = [i for i, label in reference.names.items() if label in wanted]
    items = run(model, spec, frame_store, frames)
    assert {item.label for item in items} == set(wanted) < set(counts)
    assert_same(items, predict(reference, takes, conf=0.3, classes=ids), reference.names)


def test_an_unknown_class_is_named_beside_the_known_ones(model, frame_store, takes):
    spec = msgspec.structs.replace(SPEC, classes=("car", "unicorn"))
    with pytest.raises(InvalidSpec, match=r"'unicorn'.*person, bicycle, car.* and 60 more"):
        run(model, spec, frame_store, frame_store.put(takes[:1]))


def test_the_model_says_what_it_is(model):
    assert model.info.model_name == "yolov8n.pt"
    assert len(model.info.weights_sha256) == 64
    assert (model.info.device, model.info.precision) == ("cpu", "fp32")
    assert model.info.versions["torch"] == torch.__version__.split("+")[0]


def test_garbage_is_no_checkpoint(tmp_path: Path):
    (tmp_path / "garbage.pt").write_bytes(bytes(range(256)) * 8)
    assert_refused(tmp_path, "garbage.pt", r"garbage\.pt is no YOLO checkpoint")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path, weights_dir: Path):
    whole = (weights_dir / "yolov8n.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    assert_refused(tmp_path, "cut.pt", r"cut\.pt is no YOLO checkpoint")


def test_tensors_alone_are_no_checkpoint(tmp_path: Path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "tensors.pt")
    assert_refused(tmp_path, "tensors.pt", r"tensors\.pt is no YOLO checkpoint: KeyError: 'model'")


def test_a_classifier_is_no_detector(tmp_path: Path):
    classifier = ClassificationModel("yolov8n-cls.yaml", verbose=False)
    torch.save({"model": classifier}, tmp_path / "classifier.pt")
    assert_refused(tmp_path, "classifier.pt", "is no YOLO detection model: it ends in Classify")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def test_a_checkpoint_runs_no_code(tmp_path: Path):
    torch.save({"model": Trap(tmp_path / "sprung")}, tmp_path / "trap.pt")
    assert_refused(tmp_path, "trap.pt", r"trap\.pt is no YOLO checkpoint")
    assert not (tmp_path / "sprung").exists()


def assert_refused(folder: Path, name: str, message: str) -> None:
    spec = objects.Spec(name, 0.5, "balanced")
    with pytest.raises(ModelUnavailable, match=message):
        objects.load(spec, Runtime("cpu", "fp32", WeightsStore(folder)))


@pytest.mark.parametrize(
    ("precision", "pixels", "confidence"), [("fp16", 2, 0.01), ("bf16", 8, 0.1)]
)
def test_half_precision_mostly_matches(
    model, weights_dir, frame_store, takes, precision: str, pixels: float, confidence: float
):
    half = objects.load(SPEC, Runtime("cpu", precision, WeightsStore(weights_dir)))
    assert half.info.precision == precision
    assert share_found(model, half, frame_store, takes, pixels, confidence) >= 0.8


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "share"), [("fp32", 1.0), ("fp16", 0.8)])
def test_cuda_equals_cpu(
    model, weights_dir, frame_store, takes, monkeypatch, precision: str, share: float
):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    on_cuda = objects.load(SPEC, Runtime("cuda:0", precision, WeightsStore(weights_dir)))
    assert share_found(model, on_cuda, frame_store, takes, 1, 0.01) >= share


def share_found(
    model: Objects,
    other: Objects,
    store: FrameStore,
    pictures: list[np.ndarray],
    pixels: float,
    confidence: float,
) -> float:
    """The fraction of the boxes of `model` that `other` finds, within both tolerances."""
    frames = store.put(pictures)
    lower = msgspec.structs.replace(SPEC, confidence_threshold=0.4)
    expected, items = run(model, SPEC, store, frames), run(other, lower, store, frames)
    found = [
        any(
            item.frame_index == one.frame_index
            and item.label == one.label
            and same(item, corners(one), one.confidence, pixels, confidence)
            for item in items
        )
        for one in expected
    ]
    assert len(found) >= 10
    return sum(found) / len(found)
