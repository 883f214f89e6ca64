"""Shapes match their boxes, and the committed detector finds them."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from ultralytics import YOLO

from bench.clips import backdrops
from bench.clips.shapes import LABELS, Box, Frame, Shape, draw, scatter, vivid

WEIGHTS = Path(__file__).parents[3] / "gpu_workers" / "weights" / "shapes.pt"


@pytest.fixture(scope="module")
def detector() -> YOLO:
    return YOLO(WEIGHTS)


def detect(detector: YOLO, frame: Frame) -> list[Box]:
    """The detector's boxes in an RGB frame at a confidence of 0.5."""
    result = detector.predict(frame[:, :, ::-1], imgsz=640, conf=0.5, device="cpu", verbose=False)
    boxes = zip(result[0].boxes.xywh.tolist(), result[0].boxes.cls.tolist(), strict=True)
    return [Box(LABELS[int(c)], x - w / 2, y - h / 2, w, h) for (x, y, w, h), c in boxes]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
def test_the_box_is_tight_around_the_pixels(label: str, angle: float) -> None:
    frame = np.zeros((200, 300, 3), np.uint8)
    (box,) = draw(frame, [Shape(label, 140.3, 101.7, 61.5, angle, (255, 0, 0), (255, 255, 255))])
    rows, columns = np.nonzero(frame.max(axis=2) > 127)
    assert columns.min() == pytest.approx(box.x, abs=1.5)
    assert rows.min() == pytest.approx(box.y, abs=1.5)
    assert columns.max() + 1 == pytest.approx(box.x + box.width, abs=1.5)
    assert rows.max() + 1 == pytest.approx(box.y + box.height, abs=1.5)


def test_edges_are_smooth() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    draw(frame, [Shape("star", 50, 50, 40, 0.3, (255, 255, 255), (255, 255, 255))])
    assert len(np.unique(frame)) > 20


def test_scattered_shapes_are_whole_and_apart() -> None:
    for seed in range(20):
        shapes = scatter(np.random.default_rng(seed), 640, 360, 6, (20, 120))
        assert shapes == scatter(np.random.default_rng(seed), 640, 360, 6, (20, 120))
        boxes = [shape.box() for shape in shapes]
        assert all(b.x >= 0 and b.y >= 0 for b in boxes)
        assert all(b.x + b.width <= 640 and b.y + b.height <= 360 for b in boxes)
        for place, shape in enumerate(shapes):
            for other in shapes[place + 1 :]:
                distance = np.hypot(shape.x - other.x, shape.y - other.y)
                assert distance > shape.radius + other.radius


def test_iou() -> None:
    box = Box("circle", 10, 10, 20, 10)
    assert box.iou(box) == 1
    assert box.iou(Box("circle", 20, 10, 20, 10)) == pytest.approx(1 / 3)
    assert box.iou(Box("circle", 30, 10, 20, 10)) == 0


def test_the_checkpoint_is_small_and_carries_no_path(detector: YOLO) -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
    assert detector.names == dict(enumerate(LABELS))
    with ZipFile(WEIGHTS) as archive:
        pickled = next(archive.read(name) for name in archive.namelist() if "data.pkl" in name)
    assert b"DetectionModel" in pickled
    assert not any(word in pickled for word in (b"/home", b"/tmp", b"/work", b"/root"))


def test_the_detector_finds_freshly_drawn_shapes(detector: YOLO) -> None:
    drawn = found = false = 0
    for seed in range(900, 912):
        rng = np.random.default_rng(seed)
        width, height = (1280, 720) if seed % 2 else (640, 480)
        frame = backdrops.gradient(width, height, vivid(rng, (0.1, 0.4)), vivid(rng), 0.7)
        if seed % 3 == 0:
            frame = backdrops.clouds(rng, width, height, (30, 40, 60), (90, 110, 120))
        boxes = draw(frame, scatter(rng, width, height, 5, (0.032 * width, 0.27 * width)))
        answers = detect(detector, frame)
        right = [
            any(answer.label == box.label and answer.iou(box) > 0.5 for answer in answers)
            for box in boxes
        ]
        drawn, found = drawn + len(boxes), found + sum(right)
        false += len(answers) - sum(right)
    assert drawn > 30
    assert found >= 0.95 * drawn
    assert false <= 1


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (250, 240, 200), (20, 60, 140)])
def test_the_detector_finds_nothing_on_a_plain_frame(
    detector: YOLO, colour: tuple[int, int, int]
) -> None:
    assert detect(detector, np.full((720, 1280, 3), colour, np.uint8)) == []


@pytest.mark.parametrize("name", backdrops.PHOTOS)
def test_the_detector_finds_nothing_on_photographs(detector: YOLO, name: str) -> None:
    assert detect(detector, backdrops.photo(name)) == []
