"""Faces against ultralytics' own `predict`, with both kinds of face checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
from clip_library import ClipLibrary, real
from frames_and_boxes import assert_same, clip_frames, picture, predict
from ultralytics import YOLO
from ultralytics.nn.tasks import PoseModel

from gpu_workers.model import Runtime
from gpu_workers.tasks import faces
from gpu_workers.tasks.faces import Faces
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.standins.yolo import calibrate_batch_norm
from gpu_workers.weights.store import WeightsStore
from ipc.results import Detection
from ipc.subjects import Frames

if TYPE_CHECKING:
    from tests.conftest import FrameStore

SPEC = faces.Spec("yolov8n-face.pt", 0.5)
FACE = {0: "face"}


def load(folder: Path, spec: faces.Spec, device: str = "cpu") -> Faces:
    return faces.load(spec, Runtime(device, "fp32", WeightsStore(folder)))


def run(model: Faces, spec: faces.Spec, store: FrameStore, frames: Frames) -> list[Detection]:
    inputs = model.preprocess(spec, frames, store.view)
    return model.postprocess(spec, frames, model.infer(spec, inputs))


@pytest.fixture(scope="module")
def model(weights_dir: Path) -> Faces:
    return load(weights_dir, SPEC)


@pytest.fixture(scope="module", params=["everything.mp4", *real("bottle-detection.mp4")])
def shots(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[np.ndarray]:
    return clip_frames(clips.path(request.param), 3, 80)


@pytest.fixture(scope="module")
def landmarks_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random face model that also has five landmarks, and other class names."""
    torch.manual_seed(5)
    network = PoseModel("yolov8n-pose.yaml", nc=1, data_kpt_shape=(5, 3), verbose=False).eval()
    network.names = {0: "person"}
    calibrate_batch_norm(network, torch.rand(2, 3, 256, 256))  # otherwise it finds nothing
    for layers in network.model[-1].cv3:
        layers[-1].weight.data *= 5
        layers[-1].bias.data.fill_(-3.0)
    folder = tmp_path_factory.mktemp("landmarks")
    torch.save({"model": network, "train_args": {"task": "pose"}}, folder / "landmarks.pt")
    return folder


def test_a_clip_equals_predict(model, weights_dir: Path, frame_store, shots):
    items = run(model, SPEC, frame_store, frame_store.put(shots))
    results = predict(YOLO(weights_dir / "yolov8n-face.pt"), shots, conf=0.5)
    assert_same(items, results, FACE)


def test_people_equal_predict(model, weights_dir: Path, frame_store):
    people = [picture("zidane.jpg")]
    items = run(model, SPEC, frame_store, frame_store.put(people))
    results = predict(YOLO(weights_dir / "yolov8n-face.pt"), people, conf=0.5)
    assert_same(items, results, FACE)


def test_a_checkpoint_with_landmarks_equals_predict(landmarks_dir: Path, frame_store, shots):
    spec = faces.Spec("landmarks.pt", 0.3)
    items = run(load(landmarks_dir, spec), spec, frame_store, frame_store.put(shots))
    results = predict(YOLO(landmarks_dir / "landmarks.pt"), shots, conf=0.3)
    assert results[0].keypoints.data.shape[1:] == (5, 3)
    assert_same(items, results, FACE)


def test_two_calls_give_the_same_bytes(model, frame_store, shots):
    frames = frame_store.put(shots)
    first, second = (
        msgspec.msgpack.encode(run(model, SPEC, frame_store, frames)) for _ in range(2)
    )
    assert first == second


def test_garbage_is_no_checkpoint(tmp_path: Path):
    (tmp_path / "garbage.pt").write_bytes(b"no checkpoint at all" * 100)
    with pytest.raises(ModelUnavailable, match=r"garbage\.pt is no YOLO checkpoint"):
        load(tmp_path, faces.Spec("garbage.pt", 0.5))


@pytest.mark.gpu
def test_cuda_equals_cpu(model, weights_dir: Path, frame_store, shots, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    frames = frame_store.put(shots)
    expected = run(model, SPEC, frame_store, frames)
    items = run(load(weights_dir, SPEC, "cuda:0"), SPEC, frame_store, frames)
    assert len(items) == len(expected) >= 10
    for item, one in zip(items, expected, strict=True):
        assert item.confidence == pytest.approx(one.confidence, abs=0.01)
