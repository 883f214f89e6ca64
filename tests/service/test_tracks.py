"""Tracks of drawn shapes whose paths are known, found through the service."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_streams import NDJSON, read_events
from payload import payload
from running import Server, running

from bench.clips.backdrops import gradient
from bench.clips.encoding import Coding, encode, video_frame
from bench.clips.scenes import Truth, parade, play, truth_of
from bench.clips.shapes import LABELS, Box
from server.tasks.detections import TRACKED_AT_ONCE

FRAMES, SIZE = 180, (640, 360)
SHAPES = len(LABELS)
FIELDS: dict[str, Any] = {"model_name": "shapes.pt", "frame_interval": 1, "track": True}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def truth(media: Path) -> Truth:
    """Six seconds of four shapes that swing and never meet, in paths.mp4."""
    backdrop = gradient(*SIZE, (14, 22, 58), (92, 34, 120), 0.6)
    scenes = [parade(np.random.default_rng(3), FRAMES / 30, backdrop, LABELS)]
    pictures = (video_frame(frame, pts) for pts, frame in enumerate(play(scenes, 30)))
    encode(media / "paths.mp4", pictures, FRAMES, SIZE, Coding())
    return truth_of(scenes, *SIZE, 30, [])


@pytest.fixture(scope="module")
def server(media: Path, truth: Truth) -> Iterator[Server]:
    with running(MODEL_CACHE_DIR=str(media), MEDIA_ROOTS=str(media)) as server:
        yield server


@pytest.fixture(scope="module")
def tracked(server: Server, media: Path) -> dict[str, Any]:
    """The response for every frame."""
    response = server.infer("objects", media / "paths.mp4", **FIELDS)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def nearest(found: dict[str, Any], truth: Truth) -> int:
    """Which of the shapes a detection is."""
    box = Box(found["label"], **found["bbox"])
    overlaps = [box.iou(shape) for shape in truth.boxes[found["frame_index"]]]
    assert max(overlaps) > 0.5
    return int(np.argmax(overlaps))


@pytest.mark.parametrize("interval", [1, 3])
def test_no_shape_changes_its_id(interval: int, server: Server, truth: Truth, media: Path) -> None:
    fields = {**FIELDS, "frame_interval": interval}
    answer = server.infer("objects", media / "paths.mp4", **fields).json()
    pairs = {(nearest(found, truth), found["track_id"]) for found in answer["detections"]}
    assert len(pairs) == SHAPES
    assert {track_id for _, track_id in pairs} == set(range(1, SHAPES + 1))
    assert len(answer["detections"]) >= 0.98 * SHAPES * FRAMES / interval


def test_tracks_sum_up_their_detections(tracked: dict[str, Any]) -> None:
    assert [track["track_id"] for track in tracked["tracks"]] == list(range(1, SHAPES + 1))
    for track in tracked["tracks"]:
        own = [d for d in tracked["detections"] if d["track_id"] == track["track_id"]]
        assert track["frames"] == len(own)
        assert (track["start_ms"], track["end_ms"]) == (
            own[0]["timestamp_ms"],
            own[-1]["timestamp_ms"],
        )
        best = max(own, key=lambda found: found["confidence"])
        assert track["best_frame_index"] == best["frame_index"]
        assert track["label"] == best["label"]


def test_nothing_else_differs_from_a_request_without_track(
    server: Server, media: Path, tracked: dict[str, Any]
) -> None:
    plain = server.infer("objects", media / "paths.mp4", **{**FIELDS, "track": False}).json()
    expected = [{k: v for k, v in d.items() if k != "track_id"} for d in tracked["detections"]]
    assert plain["detections"] == expected
    assert "tracks" not in plain
    assert plain["config_hash"] != tracked["config_hash"]
    named = {**FIELDS}
    del named["track"]
    default = server.infer("objects", media / "paths.mp4", **named).json()
    assert payload(default) == payload(plain)


def test_a_stream_has_the_ids_as_soon_as_they_are_known(
    server: Server, media: Path, tracked: dict[str, Any]
) -> None:
    body = {"video_path": str(media / "paths.mp4"), **FIELDS}
    response = server.client.post("/infer/objects", json=body, headers={"Accept": NDJSON})
    events = read_events(response.text, NDJSON)
    partial = [event["items"] for event in events if event["event"] == "partial"]
    assert [item for items in partial for item in items] == tracked["detections"]
    assert len(partial) == -(-FRAMES // TRACKED_AT_ONCE)
    (result,) = (event["response"] for event in events if event["event"] == "result")
    assert payload(result) == payload(tracked)


def test_tracks_survive_the_death_of_a_worker(
    server: Server, media: Path, tracked: dict[str, Any]
) -> None:
    """The worker that has tracked the first frames dies; another one continues."""
    body = {"video_path": str(media / "paths.mp4"), **FIELDS}
    headers = {"Accept": NDJSON}
    restarts = server.metric("eioku_worker_restarts_total")
    with server.client.stream("POST", "/infer/objects", json=body, headers=headers) as response:
        for line in response.iter_lines():
            event = json.loads(line)
            if event["event"] == "partial" and event["items"][0]["frame_index"] == 0:
                os.kill(server.pid_of("worker-0"), signal.SIGKILL)
            if event["event"] == "result":
                assert payload(event["response"]) == payload(tracked)
    assert event["event"] == "done"
    assert server.metric("eioku_worker_restarts_total") == restarts + 1


def test_one_frame_has_tracks_of_one_frame(server: Server, media: Path) -> None:
    answer = server.infer("objects", media / "paths.mp4", **FIELDS, classes=["star"], end_ms=1)
    (track,) = answer.json()["tracks"]
    assert (track["label"], track["frames"], track["best_frame_index"]) == ("star", 1, 0)
