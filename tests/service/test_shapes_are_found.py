"""The detector that really sees: drawn shapes of a generated clip, found through the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from running import running

from bench.clips.generate import make_small

FRAMES, INTERVAL = 90, 10


def iou(a: dict[str, float], b: dict[str, float]) -> float:
    """Intersection over union of two {x, y, width, height} boxes."""
    width = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    height = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a["width"] * a["height"] + b["width"] * b["height"] - shared)


def test_every_shape_is_found_in_its_frame(tmp_path: Path) -> None:
    clip = tmp_path / "shapes.mp4"
    truth = make_small(clip, seconds=FRAMES / 30, width=640, height=360, audio=False)
    with running(
        MODEL_CACHE_DIR=str(tmp_path), MEDIA_ROOTS=str(tmp_path), PRELOAD="scenes"
    ) as server:
        assert server.client.get("/health").json()["models_loaded"] == ["scenes"]
        answer: dict[str, Any] = server.infer(
            "objects", clip, model_name="shapes.pt", frame_interval=INTERVAL
        ).json()
    expected = [
        (frame_index, box)
        for frame_index in range(0, FRAMES, INTERVAL)
        for box in truth.boxes[frame_index]
    ]
    assert len(expected) >= 9
    for frame_index, box in expected:
        true_box = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
        found = [
            detection
            for detection in answer["detections"]
            if detection["frame_index"] == frame_index
            and detection["label"] == box.label
            and iou(detection["bbox"], true_box) > 0.5
        ]
        assert len(found) == 1, (frame_index, box)
    assert len(answer["detections"]) == len(expected)
