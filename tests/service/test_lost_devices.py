"""CUDA devices that cannot be used, at the start and later: the other workers serve."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Server, running

from bench.clips.generate import make_small

ABSENT = "GPU-0aac7d1a-4a16-4c12-a4e4-0f6e8b1cd001"
LOST = "GPU-0aac7d1a-4a16-4c12-a4e4-0f6e8b1cd002"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=4, width=320, height=180, fps=10, audio=False)
    return folder


@pytest.fixture(scope="module")
def server(media: Path) -> Iterator[Server]:
    with running(
        "cuda_server",
        DEVICES="cpu,cuda:0,cuda:1",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        EIOKU_TEST_FOLDER=str(media),
        EIOKU_TEST_DEVICES=json.dumps({ABSENT: "NVIDIA H100", LOST: "NVIDIA H100"}),
        EIOKU_TEST_WORKER="lost_devices:main",
    ) as server:
        yield server


def worker(server: Server, name: str) -> dict[str, Any]:
    """What /health tells about a worker."""
    workers: list[dict[str, Any]] = server.client.get("/health").json()["workers"]
    return next(each for each in workers if each["name"] == name)


def assert_serves(server: Server, media: Path) -> None:
    answer = server.infer("objects", media / "clip.mp4", model_name="slow-1.pt", frame_interval=2)
    assert answer.status_code == 200
    assert len(answer.json()["detections"]) == 20


def test_a_device_that_does_not_start_is_named_and_the_others_serve(
    server: Server, media: Path
) -> None:
    ready = next(event for event in server.log if event["event"] == "service ready")
    died = next(event for event in server.log if event["event"] == "child died")
    body = server.client.get("/readyz")
    health = server.client.get("/health").json()
    assert body.status_code == 200
    assert (health["status"], health["gpu_available"]) == ("degraded", True)
    about = worker(server, "worker-1")
    assert about["device_id"] == ABSENT
    assert worker(server, "worker-0")["reason"] is None
    for text in (body.text, about["reason"], died["reason"], *ready["absent"]):
        assert f"cuda:0 ({ABSENT}) cannot be used: " in text
    assert died["device"] == "cuda:0"
    assert "worker-1 on cuda:0 is" in body.text
    assert_serves(server, media)


def test_a_device_that_is_lost_later_is_named_and_its_worker_takes_no_other(
    server: Server, media: Path
) -> None:
    os.kill(server.pid_of("worker-2"), signal.SIGKILL)
    server.wait_until(
        lambda: f"cuda:1 ({LOST}) cannot be used: " in (worker(server, "worker-2")["reason"] or ""),
        "the worker has tried to start again",
    )
    body = server.client.get("/readyz")
    assert body.status_code == 200
    assert {line.split(" is ")[0] for line in body.text.splitlines()[1:]} == {
        "worker-1 on cuda:0",
        "worker-2 on cuda:1",
    }
    assert server.client.get("/health").json()["gpu_available"] is False
    assert_serves(server, media)
