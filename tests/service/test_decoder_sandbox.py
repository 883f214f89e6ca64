"""Decoders of a running service: what they may not do, and what happens if they try."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import Server, running

from bench.clips.generate import make_small
from ipc import landlock

FIELDS: dict[str, Any] = {"model_name": "slow-0.pt", "frame_interval": 5}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for seed, name in enumerate(("clip.mp4", "escape.mp4", "greedy.mp4")):
        make_small(folder / name, seconds=4, fps=10, audio=False, seed=seed)
    (folder / "victim").write_text("as before")
    return folder


@pytest.fixture(scope="module")
def server(media: Path) -> Iterator[Server]:
    with running(
        "held_server",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        EIOKU_TEST_FOLDER=str(media),
        MAX_FRAME_PIXELS="1000000",
    ) as server:
        server.wait_until(lambda: ready(server) >= {"decoder-0", "decoder-1"}, "both are ready")
        yield server


def ready(server: Server) -> set[str]:
    return {event["child"] for event in server.log if event["event"] == "child ready"}


def sandboxes(server: Server) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = server.client.get("/health").json()["sandbox"]
    return found


def whole_landlock() -> bool:
    try:
        return landlock.version() >= 6
    except OSError:
        return False


def test_health_reports_every_measure(server: Server) -> None:
    assert set(sandboxes(server)) == {"decoder-0", "decoder-1"}
    for name, measures in sandboxes(server).items():
        status = Path(f"/proc/{server.pid_of(name)}/status").read_text()
        assert ("NoNewPrivs:\t1" in status) == (measures["no_new_privileges"] == "in force")
        assert ("Seccomp:\t2" in status) == (measures["system_calls"] == "in force")
        if whole_landlock():
            assert set(measures.values()) == {"in force"}


def test_what_takes_over_a_decoder_can_do_nothing_else(server: Server, media: Path) -> None:
    answer = server.infer("objects", media / "escape.mp4", **FIELDS)
    assert (answer.status_code, answer.json()["code"]) == (422, "undecodable_video")
    if whole_landlock():
        assert answer.json()["detail"] == "[]"
    assert (media / "victim").read_text() == "as before"
    assert not (media / "new").exists()
    assert server.metric("eioku_decoder_restarts_total") == 0


def test_a_file_that_needs_too_much_memory_costs_its_request_alone(
    server: Server, media: Path
) -> None:
    answers: list[httpx.Response] = []
    greedy = threading.Thread(
        target=lambda: answers.append(server.infer("objects", media / "greedy.mp4", **FIELDS))
    )
    greedy.start()
    other = server.infer("objects", media / "clip.mp4", **FIELDS)
    assert (other.status_code, len(other.json()["detections"])) == (200, 8)
    greedy.join(60)
    assert (answers[0].status_code, answers[0].json()["code"]) == (422, "undecodable_video")
    assert "memory" in answers[0].json()["detail"]
    assert server.infer("scenes", media / "clip.mp4").status_code == 200


def test_uploads_are_read_although_no_path_leads_to_them(server: Server, media: Path) -> None:
    for _ in range(3):  # each has a descriptor, one after the other
        files = {"file": (media / "clip.mp4").read_bytes()}
        assert server.client.post("/infer/scenes", files=files).status_code == 200
