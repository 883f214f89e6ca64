"""Rotated clips and clips of variable frame rate: sizes, boxes and times of the upright frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from running import Server

from bench.clips.generate import make_rotated, make_vfr
from bench.clips.scenes import Truth

WIDTH, HEIGHT = 320, 180


@pytest.fixture(scope="module", params=[90, 180, 270])
def rotated(request: pytest.FixtureRequest, media: Path) -> tuple[Path, Truth]:
    """A clip that is stored rotated, and what it shows upright."""
    path = media / f"rotated-{request.param}.mp4"
    return path, make_rotated(path, request.param)


def inside(x: float, y: float) -> bool:
    return 0 <= x <= WIDTH and 0 <= y <= HEIGHT


def test_boxes_of_a_rotated_clip_are_those_of_the_upright_frame(
    server: Server, rotated: tuple[Path, Truth]
) -> None:
    """The shapes that were drawn are found where they are upright."""
    path, truth = rotated
    answer = server.infer("objects", path, model_name="shapes.pt", frame_interval=5).json()
    video = answer["video"]
    assert (video["width"], video["height"], video["frame_count"]) == (WIDTH, HEIGHT, 60)
    drawn = [(i, box) for i in range(0, 60, 5) for box in truth.boxes[i]]
    assert len(drawn) >= 12
    for frame_index, box in drawn:
        near = [
            item
            for item in answer["detections"]
            if (item["frame_index"], item["label"]) == (frame_index, box.label)
            and abs(item["bbox"]["x"] - box.x) < box.width / 4
            and abs(item["bbox"]["y"] - box.y) < box.height / 4
        ]
        assert len(near) == 1, (frame_index, box)


@pytest.mark.parametrize("task", ["objects", "faces"])
def test_boxes_of_a_rotated_clip_are_inside_the_upright_frame(
    task: str, server: Server, rotated: tuple[Path, Truth]
) -> None:
    """The stand-ins' boxes lie everywhere in the frame, also at its right edge."""
    answer = server.infer(task, rotated[0], frame_interval=10, confidence_threshold=0.25).json()
    boxes = [item["bbox"] for item in answer["detections"]]
    assert all(inside(box["x"], box["y"]) for box in boxes)
    ends = [(box["x"] + box["width"], box["y"] + box["height"]) for box in boxes]
    assert all(inside(x - 0.011, y - 0.011) for x, y in ends)  # two roundings of 0.005
    assert max(x for x, _ in ends) > HEIGHT


def test_text_of_a_rotated_clip_is_inside_the_upright_frame(
    server: Server, rotated: tuple[Path, Truth]
) -> None:
    answer = server.infer("ocr", rotated[0], frame_interval=45).json()
    corners = [(p["x"], p["y"]) for item in answer["detections"] for p in item["polygon"]]
    assert len({item["frame_index"] for item in answer["detections"]}) == 2
    assert all(inside(x, y) for x, y in corners)
    assert max(x for x, _ in corners) > HEIGHT


@pytest.fixture(scope="module")
def vfr(media: Path) -> tuple[Path, list[int]]:
    """A clip of variable frame rate, and the presentation time of each frame in ms."""
    return media / "vfr.mp4", make_vfr(media / "vfr.mp4")


def test_times_are_those_of_the_container(server: Server, vfr: tuple[Path, list[int]]) -> None:
    path, times_ms = vfr
    with av.open(str(path)) as container:
        read = [round(float(frame.pts * frame.time_base) * 1000) for frame in container.decode()]
    assert read == times_ms
    answer = server.infer("places", path, frame_interval=1).json()
    assert [item["timestamp_ms"] for item in answer["classifications"]] == times_ms
    assert [item["frame_index"] for item in answer["classifications"]] == list(range(60))
    assert answer["video"]["frame_count"] == 60
    assert answer["video"]["duration_ms"] > times_ms[-1]


@pytest.mark.parametrize(("task", "interval"), [("objects", 7), ("faces", 4), ("ocr", 20)])
def test_every_task_has_the_containers_times(
    task: str, interval: int, server: Server, vfr: tuple[Path, list[int]]
) -> None:
    path, times_ms = vfr
    items: list[dict[str, Any]] = server.infer(task, path, frame_interval=interval).json()[
        "detections"
    ]
    assert {item["frame_index"] for item in items} <= set(range(0, 60, interval))
    assert len({item["frame_index"] for item in items}) >= 2
    for item in items:
        assert item["timestamp_ms"] == times_ms[item["frame_index"]]


def test_scenes_begin_at_times_of_frames(server: Server, vfr: tuple[Path, list[int]]) -> None:
    path, times_ms = vfr
    answer = server.infer("scenes", path, threshold=0.1, min_scene_length=0).json()
    scenes = answer["scenes"]
    assert len(scenes) >= 2
    assert {scene["start_ms"] for scene in scenes} <= set(times_ms)
    assert times_ms[30] in {scene["start_ms"] for scene in scenes}  # the cut
    assert scenes[-1]["end_ms"] == answer["video"]["duration_ms"]


def test_a_range_is_of_times_and_not_of_indices(
    server: Server, vfr: tuple[Path, list[int]]
) -> None:
    """Frame 32 is shown when a constant frame rate would show the 29th."""
    path, times_ms = vfr
    span = {"start_ms": times_ms[32], "end_ms": times_ms[48]}
    answer = server.infer("places", path, frame_interval=1, **span).json()
    assert [item["frame_index"] for item in answer["classifications"]] == list(range(32, 48))
