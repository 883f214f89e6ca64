"""Which workers run a task, and that their number changes no byte of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from payload import payload
from running import Server, running

from bench.clips.encoding import encode_sound
from bench.clips.sound import RATE, silence, speech

AT_ONCE = 4
SECOND_WINDOW_MS = 261_144  # where it starts with a frame pool of 64 MB


@pytest.fixture(scope="module")
def two_workers(weights_dir: Path, media: Path) -> Iterator[Server]:
    """Each worker takes one batch at a time, so that the other one gets the next."""
    with running(
        MODEL_CACHE_DIR=str(weights_dir),
        MEDIA_ROOTS=str(media),
        WHISPER_MODEL="tiny",
        FRAME_POOL_MB="64",
        DEVICES="cpu,cpu",
        GPU_CONCURRENCY="1",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def long_audio(media: Path) -> Path:
    """Speech in each of two windows, and silence between."""
    sound = silence(272)
    for start_s, seed in ((0, 4), (264, 7)):
        words = speech(7, seed)
        sound[start_s * RATE : start_s * RATE + len(words)] = words
    encode_sound(media / "long.m4a", sound)
    return media / "long.m4a"


def models(server: Server) -> dict[str, list[str]]:
    """The models that each worker has resident."""
    workers = server.client.get("/health").json()["workers"]
    return {worker["name"]: worker["models"] for worker in workers}


def both(
    server: Server, two_workers: Server, task: str, video: Path, **fields: Any
) -> dict[str, Any]:
    """The payload of one worker, checked to be the bytes of two."""
    one, two = (payload(s.infer(task, video, **fields).json()) for s in (server, two_workers))
    assert json.dumps(one) == json.dumps(two)
    return one


def both_have(two_workers: Server, model: str) -> bool:
    """Whether both workers had a part in what was asked of that model."""
    resident = models(two_workers)
    return all(model in resident[name] for name in ("worker-0", "worker-1"))


def test_faces_are_the_same_with_two_workers(
    server: Server, two_workers: Server, clip: Path
) -> None:
    found = both(server, two_workers, "faces", clip, frame_interval=3)
    frames = [item["frame_index"] for item in found["detections"]]
    assert frames == sorted(frames)
    assert len(set(frames)) > 15
    assert both_have(two_workers, "faces/yolov8n-face.pt")


def test_tracks_are_the_same_with_two_workers(
    server: Server, two_workers: Server, clip: Path
) -> None:
    """Every frame: the tracker's state goes to a worker twice."""
    found = both(server, two_workers, "faces", clip, frame_interval=1, track=True)
    ids = list(dict.fromkeys(item["track_id"] for item in found["detections"]))
    assert ids == [track["track_id"] for track in found["tracks"]] == list(range(1, len(ids) + 1))
    assert max(track["frames"] for track in found["tracks"]) > 10
    assert both_have(two_workers, "faces/yolov8n-face.pt")


def test_text_is_the_same_with_two_workers(server: Server, two_workers: Server, clip: Path) -> None:
    found = both(server, two_workers, "ocr", clip, frame_interval=15)
    frames = [item["frame_index"] for item in found["detections"]]
    assert frames == sorted(frames)
    assert len(set(frames)) == 6
    assert both_have(two_workers, "ocr/en")


def test_speech_is_the_same_with_two_workers(
    server: Server, two_workers: Server, long_audio: Path
) -> None:
    """Several requests at the same time: while one worker is busy, the other one gets the step."""
    one = payload(server.infer("transcribe", long_audio, language="en").json())
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = [
            threads.submit(two_workers.infer, "transcribe", long_audio, language="en")
            for _ in range(AT_ONCE)
        ]
    answers = [payload(request.result().json()) for request in asked]
    assert [json.dumps(answer) for answer in answers] == [json.dumps(one)] * AT_ONCE
    assert both_have(two_workers, "transcribe/tiny")
    starts = [segment["start_ms"] for segment in one["segments"]]
    assert starts == sorted(starts)
    assert starts[0] < SECOND_WINDOW_MS < starts[-1]


def test_ocr_without_a_gpu_runs_on_the_worker_whose_device_is_the_cpu(
    server: Server, clip: Path, plain: dict[str, dict[str, Any]]
) -> None:
    response = server.infer("ocr", clip, frame_interval=30, use_gpu=False)
    answer = response.json()
    assert answer["detections"] == plain["ocr"]["detections"]
    assert answer["config_hash"] != plain["ocr"]["config_hash"]
    assert answer["provenance"]["device"] == "cpu"
    assert models(server)["cpu-worker"] == ["scenes"]
    assert "ocr/en" in models(server)["worker-0"]
