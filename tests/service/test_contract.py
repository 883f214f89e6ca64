"""The HTTP contract, against a real server with real models."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest
from clip_library import ClipLibrary, real
from clip_table import CUTS, CUTS_FILM, EVERYTHING, FILMS
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
CAR = "car-detection.mp4"
TAKES = [("takes.mp4", 6, 1000, 4000), *((name, 20, 5000, 20_000) for name in real(CAR))]
NASA = {"width": 480, "height": 270, "fps": 29.97, "frame_count": 390, "duration_ms": 13_013}
VIDEOS = {"everything.mp4": EVERYTHING, "nasa_13013.mp4": NASA}


@pytest.fixture(scope="module")
def server(weights_dir: Path, clips: ClipLibrary) -> Iterator[Server]:
    with running(
        MODEL_CACHE_DIR=str(weights_dir), MEDIA_ROOTS=clips.roots, WHISPER_MODEL="tiny"
    ) as server:
        yield server


@pytest.fixture(scope="module", params=["everything.mp4", *real("nasa_13013.mp4")])
def clip(request: pytest.FixtureRequest, clips: ClipLibrary) -> Path:
    """A clip at 30000/1001 fps with pictures, text and speech."""
    return clips.path(request.param)


@pytest.fixture(scope="module")
def answers(server: Server, clip: Path) -> dict[str, dict[str, Any]]:
    """Every task's answer about the first seconds of the clip."""
    fields: dict[str, dict[str, Any]] = {task: {"frame_interval": 60} for task in PAYLOADS}
    fields["transcribe"] = {"vad_filter": False, "language": "en"}
    fields["scenes"] = {}
    found = {}
    for task in PAYLOADS:
        response = server.infer(task, clip, end_ms=6500, task_id=f"id-{task}", **fields[task])
        assert response.status_code == 200, response.text
        found[task] = response.json()
    return found


@pytest.mark.parametrize("task", PAYLOADS)
def test_every_answer_has_the_fields_of_the_contract(
    task: str, clip: Path, answers: dict[str, dict[str, Any]]
) -> None:
    answer = answers[task]
    assert len(answer["run_id"]) == 36
    assert len(answer["config_hash"]) == len(answer["input_hash"]) == 16
    assert answer["producer"] == PRODUCERS[task]
    assert answer["producer_version"][0].isdigit()
    assert answer["task_id"] == f"id-{task}"
    assert answer["video"] == VIDEOS[clip.name]
    assert set(answer["timings_ms"]) == {"queue", "decode", "inference", "total"}
    assert answer["timings_ms"]["total"] > 0
    provenance = answer["provenance"]
    assert provenance["stand_in"] is (task != "scenes")
    assert provenance["weights_source"] == (None if task == "scenes" else "stand-in")
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
    task: str, clip: Path, answers: dict[str, dict[str, Any]]
) -> None:
    shown_ms = frame_times_ms(clip)
    items = answers[task]["detections"]
    assert items == sorted(items, key=lambda item: (item["frame_index"], -item["confidence"]))
    assert len({item["frame_index"] for item in items}) >= 2
    assert {item["frame_index"] for item in items} <= {0, 60, 120, 180}
    for item in items:
        assert item["timestamp_ms"] == round(shown_ms[item["frame_index"]])
        assert 0 <= item["confidence"] <= 1
        if task != "ocr":
            assert item["bbox"]["x"] >= -0.01
            assert item["bbox"]["x"] + item["bbox"]["width"] <= 480.01


def frame_times_ms(path: Path) -> list[float]:
    """When the container says that each frame is shown."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        return [frame.time * 1000 for frame in container.decode(stream)]


@pytest.mark.parametrize("name", ["variable_rate.mp4", "reordered.mp4", "edit_list.mp4"])
def test_timestamps_are_those_the_clip_was_made_with(
    server: Server, clips: ClipLibrary, name: str
) -> None:
    response = server.infer("places", clips.path(name), frame_interval=7)
    found = {
        item["frame_index"]: item["timestamp_ms"] for item in response.json()["classifications"]
    }
    times_ms = FILMS[name].times_ms
    assert found == {index: round(times_ms[index]) for index in range(0, len(times_ms), 7)}


def test_scenes_are_the_shots_that_were_cut(server: Server, clips: ClipLibrary) -> None:
    response = server.infer(
        "scenes", clips.path("cuts.mp4"), min_scene_length=0, start_ms=1000, end_ms=15_000
    )
    scenes = response.json()["scenes"]
    cuts_ms = [round(CUTS_FILM.times_ms[index]) for index in CUTS]
    inside = [ms for ms in cuts_ms if 1000 < ms < 15_000]
    assert len(inside) >= 10
    assert [scene["start_ms"] for scene in scenes] == [1000, *inside]
    assert scenes[-1]["end_ms"] == 15_000


@pytest.mark.parametrize(
    ("name", "threshold", "end_ms"),
    [
        ("cuts.mp4", 0.4, 15_000),
        *((name, 0.1, 30_000) for name in real("bottle-detection.mp4")),
    ],
)
def test_scenes_cover_the_range_without_gaps(
    server: Server, clips: ClipLibrary, name: str, threshold: float, end_ms: int
) -> None:
    response = server.infer(
        "scenes",
        clips.path(name),
        threshold=threshold,
        min_scene_length=0,
        start_ms=1000,
        end_ms=end_ms,
    )
    scenes = response.json()["scenes"]
    assert scenes
    assert (scenes[0]["start_ms"], scenes[-1]["end_ms"]) == (1000, end_ms)
    assert [scene["scene_index"] for scene in scenes] == list(range(len(scenes)))
    for before, after in itertools.pairwise(scenes):
        assert before["end_ms"] == after["start_ms"]


@pytest.mark.parametrize(("name", "interval", "start_ms", "end_ms"), TAKES)
def test_a_range_holds_what_the_whole_has_there(
    server: Server, clips: ClipLibrary, name: str, interval: int, start_ms: int, end_ms: int
) -> None:
    clip = clips.path(name)
    whole = server.infer("places", clip, frame_interval=interval).json()["classifications"]
    part = server.infer(
        "places", clip, frame_interval=interval, start_ms=start_ms, end_ms=end_ms
    ).json()
    expected = [item for item in whole if start_ms <= item["timestamp_ms"] < end_ms]
    assert [item["frame_index"] for item in part["classifications"]] == [
        item["frame_index"] for item in expected
    ]
    assert 5 < len(expected) < len(whole)


@pytest.mark.parametrize("name", ["silent.mp4", *real(CAR)])
def test_silence_is_empty(server: Server, clips: ClipLibrary, name: str) -> None:
    silent = server.infer("transcribe", clips.path(name))
    assert (silent.status_code, silent.json()["segments"]) == (200, [])


def test_no_sound_is_refused(server: Server, clips: ClipLibrary) -> None:
    mute = server.infer("transcribe", clips.path("h264.mp4"))
    assert (mute.status_code, mute.json()["code"]) == (422, "no_audio_stream")


@pytest.mark.parametrize("name", ["spoken.flac", *real("jfk.flac")])
def test_sound_alone_can_be_transcribed_but_not_looked_at(
    server: Server, clips: ClipLibrary, name: str
) -> None:
    spoken = server.infer("transcribe", clips.path(name), vad_filter=False, language="en")
    assert len(spoken.json()["segments"]) >= 5
    assert spoken.json()["video"]["duration_ms"] == 11_000
    seen = server.infer("scenes", clips.path(name))
    assert (seen.status_code, seen.json()["code"]) == (422, "undecodable_video")


def test_msgpack_says_the_same_as_json(server: Server, clips: ClipLibrary) -> None:
    body = {"video_path": str(clips.path("takes.mp4")), "frame_interval": 40}
    as_json = server.client.post("/infer/objects", json=body)
    assert as_json.json()["detections"]
    packed = server.client.post(
        "/infer/objects", json=body, headers={"Accept": "application/msgpack"}
    )
    assert packed.headers["content-type"] == "application/msgpack"
    assert payload(msgspec.msgpack.decode(packed.content)) == payload(as_json.json())


@pytest.mark.parametrize("name", ["takes.mp4", *real(CAR)])
def test_the_same_request_gives_the_same_bytes(
    server: Server, clips: ClipLibrary, name: str
) -> None:
    for task in ("objects", "faces", "places", "scenes"):
        first, second = (server.infer(task, clips.path(name)).json() for _ in "ab")
        assert first[PAYLOADS[task]]
        assert json.dumps(payload(first)) == json.dumps(payload(second))
        assert first["run_id"] != second["run_id"]


def test_two_workers_give_the_bytes_of_one(
    server: Server, weights_dir: Path, clips: ClipLibrary
) -> None:
    clip = clips.path("takes.mp4")
    with running(
        MODEL_CACHE_DIR=str(weights_dir), MEDIA_ROOTS=clips.roots, DEVICES="cpu,cpu"
    ) as sharded:
        for task in ("objects", "places"):
            one = server.infer(task, clip, frame_interval=2).json()
            two = sharded.infer(task, clip, frame_interval=2).json()
            assert len(one[PAYLOADS[task]]) >= 75
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
    assert server.metric("eioku_frames_decoded_total") >= 195
    assert math.isclose(server.metric("eioku_frame_pool_bytes"), 256 << 20)
    document = server.client.get("/openapi.json").json()
    assert set(document["paths"]) >= {f"/infer/{task}" for task in PAYLOADS}


def test_the_request_id_follows_the_work(server: Server, clips: ClipLibrary) -> None:
    response = server.client.post(
        "/infer/objects",
        json={"video_path": str(clips.path("notice.png"))},
        headers={"X-Request-ID": "follow-me"},
    )
    assert response.headers["x-request-id"] == "follow-me"
    server.wait_for("request", request_id="follow-me")  # is written once the answer is out
    events = [event for event in server.log if event.get("request_id") == "follow-me"]
    assert {event["process"][:7] for event in events} == {"front", "decoder"}
