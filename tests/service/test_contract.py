"""The HTTP contract, against a real server with real models on real clips."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from payload import payload
from running import Server, running

PAYLOADS = {
    "objects": "detections",
    "faces": "detections",
    "transcribe": "segments",
    "ocr": "detections",
    "places": "classifications",
    "scenes": "scenes",
}
PRODUCERS = {
    "objects": "yolo",
    "faces": "yolo",
    "transcribe": "whisper",
    "ocr": "easyocr",
    "places": "places365",
    "scenes": "scenedetect",
}


@pytest.fixture(scope="module")
def server(weights_dir: Path, data_dir: Path) -> Iterator[Server]:
    with running(
        MODEL_CACHE_DIR=str(weights_dir), MEDIA_ROOTS=str(data_dir), WHISPER_MODEL="tiny"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def answers(server: Server, data_dir: Path) -> dict[str, dict[str, Any]]:
    """Every task's answer about the first seconds of a clip."""
    fields: dict[str, dict[str, Any]] = {task: {"frame_interval": 60} for task in PAYLOADS}
    fields["transcribe"] = {"vad_filter": False, "language": "en"}
    fields["scenes"] = {}
    found = {}
    for task in PAYLOADS:
        response = server.infer(
            task, data_dir / "nasa_13013.mp4", end_ms=6500, task_id=f"id-{task}", **fields[task]
        )
        assert response.status_code == 200, response.text
        found[task] = response.json()
    return found


@pytest.mark.parametrize("task", PAYLOADS)
def test_every_answer_has_the_fields_of_the_contract(
    task: str, answers: dict[str, dict[str, Any]]
) -> None:
    answer = answers[task]
    assert len(answer["run_id"]) == 36
    assert len(answer["config_hash"]) == len(answer["input_hash"]) == 16
    assert answer["producer"] == PRODUCERS[task]
    assert answer["producer_version"][0].isdigit()
    assert answer["task_id"] == f"id-{task}"
    assert answer["video"] == {
        "width": 480,
        "height": 270,
        "fps": 29.97,
        "frame_count": 390,
        "duration_ms": 13013,
    }
    assert set(answer["timings_ms"]) == {"queue", "decode", "inference", "total"}
    assert answer["timings_ms"]["total"] > 0
    provenance = answer["provenance"]
    assert provenance["stand_in"] is (task != "scenes")
    assert provenance["device"] == "cpu"
    assert provenance["precision"] == "fp32"
    assert provenance["decoder"] == "pyav"  # the clip has frames that need not be decoded
    assert provenance["versions"]
    assert answer[PAYLOADS[task]]


def test_items_have_the_fields_of_the_contract(answers: dict[str, dict[str, Any]]) -> None:
    fields = {task: set(answers[task][PAYLOADS[task]][0]) for task in PAYLOADS}
    framed = {"frame_index", "timestamp_ms"}
    box = framed | {"label", "confidence", "bbox"}
    assert fields == {
        "objects": box,
        "faces": box | {"cluster_id"},
        "transcribe": {"start_ms", "end_ms", "text", "confidence", "words"},
        "ocr": framed | {"text", "confidence", "polygon"},
        "places": framed | {"predictions", "indoor"},
        "scenes": {"scene_index", "start_ms", "end_ms"},
    }
    assert answers["objects"]["model_profile"] == "balanced"
    assert answers["ocr"]["language"] == "en"
    assert answers["transcribe"]["language"] == "en"


@pytest.mark.parametrize("task", ["objects", "faces", "ocr"])
def test_items_are_ordered_and_inside_the_frame(
    task: str, answers: dict[str, dict[str, Any]]
) -> None:
    items = answers[task]["detections"]
    assert items == sorted(items, key=lambda item: (item["frame_index"], -item["confidence"]))
    assert {item["frame_index"] for item in items} <= {0, 60, 120, 180}
    for item in items:
        assert item["timestamp_ms"] == round(item["frame_index"] * 1001 / 30)
        assert 0 <= item["confidence"] <= 1
        if task != "ocr":
            assert item["bbox"]["x"] + item["bbox"]["width"] <= 480.01


def test_scenes_cover_the_range_without_gaps(server: Server, data_dir: Path) -> None:
    response = server.infer(
        "scenes",
        data_dir / "bottle-detection.mp4",
        threshold=0.1,
        min_scene_length=0,
        start_ms=1000,
        end_ms=30_000,
    )
    scenes = response.json()["scenes"]
    assert (scenes[0]["start_ms"], scenes[-1]["end_ms"]) == (1000, 30_000)
    assert [scene["scene_index"] for scene in scenes] == list(range(len(scenes)))
    for before, after in itertools.pairwise(scenes):
        assert before["end_ms"] == after["start_ms"]


def test_a_range_holds_what_the_whole_has_there(server: Server, data_dir: Path) -> None:
    clip = data_dir / "car-detection.mp4"
    whole = server.infer("places", clip, frame_interval=20).json()["classifications"]
    part = server.infer("places", clip, frame_interval=20, start_ms=5000, end_ms=20_000).json()
    expected = [item for item in whole if 5000 <= item["timestamp_ms"] < 20_000]
    assert [item["frame_index"] for item in part["classifications"]] == [
        item["frame_index"] for item in expected
    ]
    assert len(expected) > 5


def test_no_sound_is_refused_and_silence_is_empty(server: Server, data_dir: Path) -> None:
    mute = server.infer("transcribe", data_dir / "bottle-detection.mp4")
    assert (mute.status_code, mute.json()["code"]) == (422, "no_audio_stream")
    silent = server.infer("transcribe", data_dir / "car-detection.mp4")
    assert (silent.status_code, silent.json()["segments"]) == (200, [])


def test_sound_alone_can_be_transcribed_but_not_looked_at(server: Server, data_dir: Path) -> None:
    spoken = server.infer("transcribe", data_dir / "jfk.flac", vad_filter=False)
    assert len(spoken.json()["segments"]) >= 5
    assert spoken.json()["video"]["duration_ms"] == 11_000
    seen = server.infer("scenes", data_dir / "jfk.flac")
    assert (seen.status_code, seen.json()["code"]) == (422, "undecodable_video")


def test_msgpack_says_the_same_as_json(server: Server, data_dir: Path) -> None:
    body = {"video_path": str(data_dir / "car-detection.mp4"), "frame_interval": 100}
    as_json = server.client.post("/infer/objects", json=body)
    packed = server.client.post(
        "/infer/objects", json=body, headers={"Accept": "application/msgpack"}
    )
    assert packed.headers["content-type"] == "application/msgpack"
    assert payload(msgspec.msgpack.decode(packed.content)) == payload(as_json.json())


def test_the_same_request_gives_the_same_bytes(server: Server, data_dir: Path) -> None:
    for task in ("objects", "faces", "places", "scenes"):
        first, second = (server.infer(task, data_dir / "car-detection.mp4").json() for _ in "ab")
        assert json.dumps(payload(first)) == json.dumps(payload(second))
        assert first["run_id"] != second["run_id"]


def test_two_workers_give_the_bytes_of_one(
    server: Server, weights_dir: Path, data_dir: Path
) -> None:
    clip = data_dir / "car-detection.mp4"
    with running(
        MODEL_CACHE_DIR=str(weights_dir), MEDIA_ROOTS=str(data_dir), DEVICES="cpu,cpu"
    ) as sharded:
        for task in ("objects", "places"):
            one = server.infer(task, clip, frame_interval=6).json()
            two = sharded.infer(task, clip, frame_interval=6).json()
            assert json.dumps(payload(one)) == json.dumps(payload(two))
        workers = sharded.client.get("/health").json()["workers"]
        resident = [worker["models"] for worker in workers if worker["name"] != "cpu-worker"]
        assert resident == [["objects/yolov8n.pt", "places"]] * 2


def test_health(server: Server, answers: dict[str, dict[str, Any]]) -> None:
    health = server.client.get("/health").json()
    assert health["status"] == "healthy"
    assert health["gpu_available"] is False
    assert "objects/yolov8n.pt" in health["models_loaded"]
    assert health["models"]["yolov8n.pt"] == "ready"
    assert {worker["name"] for worker in health["workers"]} == {"worker-0", "cpu-worker"}
    pool = health["frame_pool"]
    assert (pool["bytes"], pool["leased"]) == (256 << 20, 0)
    assert 0 < pool["used"] <= pool["bytes"]


def test_probes_metrics_and_openapi(server: Server, answers: dict[str, dict[str, Any]]) -> None:
    assert server.client.get("/livez").status_code == 200
    assert server.client.get("/readyz").status_code == 200
    assert server.metric('eioku_requests_total{status="200",task="ocr"}') >= 1
    assert server.metric("eioku_frames_decoded_total") >= 390
    assert math.isclose(server.metric("eioku_frame_pool_bytes"), 256 << 20)
    document = server.client.get("/openapi.json").json()
    assert set(document["paths"]) >= {f"/infer/{task}" for task in PAYLOADS}


def test_the_request_id_follows_the_work(server: Server, data_dir: Path) -> None:
    response = server.client.post(
        "/infer/objects",
        json={"video_path": str(data_dir / "SOURCES.md")},
        headers={"X-Request-ID": "follow-me"},
    )
    assert response.headers["x-request-id"] == "follow-me"
    server.wait_for("request", request_id="follow-me")  # is written once the answer is out
    events = [event for event in server.log if event.get("request_id") == "follow-me"]
    assert {event["process"][:7] for event in events} == {"front", "decoder"}
