"""Workers and decoders that fail at work: who goes on with it, and what is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import Server, running

from bench.clips.generate import make_small

DEADLINE_S = 30


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=4, fps=10, audio=False)
    make_small(folder / "freeze.mp4", seconds=4, fps=10, audio=False, seed=2)
    make_small(folder / "die.mp4", seconds=4, fps=10, audio=False, seed=3)
    (folder / "freeze").touch()
    return folder


@pytest.fixture(scope="module")
def server(media: Path) -> Iterator[Server]:
    with running(
        "held_server",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        EIOKU_TEST_FOLDER=str(media),
        DEVICES="cpu,cpu",
    ) as server:
        yield server


def restarts(server: Server) -> dict[str, float]:
    """How often each worker was replaced, by the metric."""
    names = ("worker-0", "worker-1", "cpu-worker")
    return {
        name: server.metric(f'eioku_worker_restarts_total{{worker="{name}"}}') for name in names
    }


def seen(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The frames as a worker has seen them, whichever it was."""
    items = answer["detections"]
    return [(i["frame_index"], i["timestamp_ms"], i["confidence"], i["bbox"]) for i in items]


def test_a_batch_whose_worker_dies_is_done_by_the_other_one(server: Server, media: Path) -> None:
    clip = media / "clip.mp4"
    calm = server.infer("objects", clip, model_name="slow-0.pt", frame_interval=5).json()
    assert (len(seen(calm)), restarts(server)) == (8, dict.fromkeys(restarts(server), 0))
    killed = server.infer("objects", clip, model_name="die-once.pt", frame_interval=5)
    assert killed.status_code == 200
    assert seen(killed.json()) == seen(calm)
    (died,) = {event["child"] for event in server.log if event["event"] == "child died"}
    (other,) = {"worker-0", "worker-1"} - {died}
    assert {item["label"] for item in killed.json()["detections"]} == {other}
    assert restarts(server) == {"cpu-worker": 0, other: 0, died: 1}
    health = server.client.get("/health").json()
    assert {worker["name"]: worker["restarts"] for worker in health["workers"]} == restarts(server)
    assert health["frame_pool"]["leased"] == 0


def stopped(pid: int) -> bool:
    """Whether a process was stopped by SIGSTOP."""
    return Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_the_request_of_a_decoder_that_hangs_is_tried_again(server: Server, media: Path) -> None:
    """It stops itself after the first frame; it is replaced once it gave no sign of life."""
    frozen, fields = media / "freeze.mp4", {"model_name": "slow-0.pt", "frame_interval": 5}
    answers: list[httpx.Response] = []
    asked = threading.Thread(
        target=lambda: answers.append(server.infer("objects", frozen, **fields)), daemon=True
    )
    deadline = time.monotonic() + DEADLINE_S
    while server.client.get("/health").json()["status"] == "unhealthy" or not all(
        any(e["event"] == "child ready" and e["child"] == name for e in server.log)
        for name in ("decoder-0", "decoder-1")
    ):  # one decoder is enough for the service to be ready
        assert time.monotonic() < deadline
    asked.start()
    pids = {server.pid_of(name): name for name in ("decoder-0", "decoder-1")}
    while not (hung := [name for pid, name in pids.items() if stopped(pid)]):
        assert time.monotonic() < deadline
    (media / "freeze").unlink()
    other = server.infer("objects", media / "clip.mp4", **fields, start_ms=100)
    assert (other.status_code, len(other.json()["detections"])) == (200, 7)
    assert asked.is_alive()
    asked.join(DEADLINE_S)
    assert (answers[0].status_code, len(answers[0].json()["detections"])) == (200, 8)
    server.wait_for("child died", child=hung[0])
    server.wait_for("child ready", child=hung[0])
    assert server.metric("eioku_decoder_restarts_total") == 1
    assert server.pid_of(hung[0]) not in pids
    assert server.client.get("/health").json()["frame_pool"]["leased"] == 0


def test_a_file_that_ends_two_decoders_is_refused(server: Server, media: Path) -> None:
    restarts_before = server.metric("eioku_decoder_restarts_total")
    answer = server.infer("objects", media / "die.mp4", model_name="slow-0.pt")
    assert (answer.status_code, answer.json()["code"]) == (422, "undecodable_video")
    assert "ffmpeg" in answer.json()["detail"]
    assert server.metric("eioku_decoder_restarts_total") == restarts_before + 2
    assert server.infer("objects", media / "clip.mp4", model_name="slow-0.pt").status_code == 200
