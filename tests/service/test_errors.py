"""Every refusal of the contract that one request can provoke, from a real server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import Server, running

from bench.clips.generate import make_small


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a valid clip (no audio), an invalid file, and a link to a file outside."""
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=2, width=320, height=180, fps=10, audio=False)
    (folder / "rubbish.mp4").write_bytes(b"this is no video" * 1000)
    (folder / "folder.mp4").mkdir()
    (folder / "link.mp4").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo.mp4")
    return folder


@pytest.fixture(scope="module")
def server(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service without any weights, and with low limits."""
    empty = tmp_path_factory.mktemp("no-models")
    with running(
        MODEL_CACHE_DIR=str(empty),
        MEDIA_ROOTS=str(media),
        MAX_FRAME_PIXELS="1000000",
        API_KEY="secret",
    ) as server:
        server.client.headers["Authorization"] = "Bearer secret"
        yield server


def check(response: httpx.Response, status: int, code: str, *words: str) -> dict[str, Any]:
    """The response is a problem document that says so."""
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    for word in words:
        assert word in problem["detail"]
    assert set(problem) >= {"type", "title", "detail"}
    return problem


def test_bodies_that_are_no_request(server: Server, media: Path) -> None:
    check(server.client.post("/infer/scenes", content=b"{"), 400, "invalid_json")
    check(
        server.client.post("/infer/scenes", content=b"", headers={"Content-Type": "text/csv"}),
        415,
        "unsupported_media_type",
        "text/csv",
    )
    problem = check(server.infer("scenes", media / "clip.mp4", treshold=1), 422, "invalid_request")
    assert [error["field"] for error in problem["errors"]] == ["treshold"]
    large = b'{"video_path": "' + b"a" * (2 << 20) + b'"}'
    check(server.client.post("/infer/scenes", content=large), 413, "upload_too_large")


def test_paths(server: Server, media: Path) -> None:
    check(server.infer("scenes", media / "none.mp4"), 400, "video_not_found", "none.mp4")
    check(server.infer("scenes", media / "folder.mp4"), 400, "video_not_found")
    check(server.infer("scenes", media / "fifo.mp4"), 400, "video_not_found")
    check(server.infer("scenes", Path("/etc/passwd")), 403, "path_not_allowed", "MEDIA_ROOTS")
    check(server.infer("scenes", Path("/no/such")), 403, "path_not_allowed")
    check(server.infer("scenes", media / "link.mp4"), 403, "path_not_allowed")
    check(server.infer("scenes", media / ".." / "x.mp4"), 403, "path_not_allowed")
    check(server.client.post("/infer/scenes", json={"video_path": "a\0b"}), 400, "video_not_found")


def test_content(server: Server, media: Path) -> None:
    check(server.infer("scenes", media / "rubbish.mp4"), 422, "undecodable_video")
    wrong = "0123456789abcdef"
    check(
        server.infer("scenes", media / "clip.mp4", input_hash=wrong),
        400,
        "input_hash_mismatch",
        wrong,
    )


def test_missing_weights_leave_the_other_tasks_alone(server: Server, media: Path) -> None:
    """Tests are offline: every download is refused by a proxy that nobody listens at."""
    for task in ("objects", "faces", "ocr", "places"):
        check(server.infer(task, media / "clip.mp4"), 503, "model_unavailable", "models", "refused")
    named = server.infer("objects", media / "clip.mp4", model_name="http://example.com/x.pt")
    check(named, 503, "model_unavailable", "http://example.com/x.pt")
    assert server.infer("scenes", media / "clip.mp4").status_code == 200
    shapes = server.infer("objects", media / "clip.mp4", model_name="shapes.pt")
    assert shapes.status_code == 200
    assert shapes.json()["provenance"]["stand_in"] is False
    health = server.client.get("/health").json()
    assert health["status"] == "degraded"


def test_unknown_class(server: Server, media: Path) -> None:
    response = server.infer(
        "objects", media / "clip.mp4", model_name="shapes.pt", classes=["unicorn"]
    )
    check(response, 422, "invalid_request", "unicorn", "circle")


def test_frames_too_large(server: Server, media: Path) -> None:
    make_small(media / "large.mp4", seconds=1, width=1280, height=800, fps=5, audio=False)
    response = server.infer("objects", media / "large.mp4", model_name="shapes.pt")
    check(response, 413, "frame_too_large", "1280x800", "MAX_FRAME_PIXELS")


def test_unknown_routes_and_methods(server: Server) -> None:
    check(server.client.post("/infer/cats", json={}), 404, "not_found", "objects")
    check(server.client.get("/nothing"), 404, "not_found")
    response = server.client.get("/infer/scenes")
    check(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_the_key(server: Server) -> None:
    for given in ("", "Bearer wrong", "secret"):
        response = httpx.get(f"{server.url}/metrics", headers={"Authorization": given})
        check(response, 401, "unauthorized", "Bearer")
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["x-request-id"]
    for path in ("/health", "/livez", "/readyz"):
        assert httpx.get(f"{server.url}{path}").status_code == 200


def test_overload_and_deadline(media: Path, tmp_path: Path) -> None:
    with running(
        "fake_server",
        MODEL_CACHE_DIR=str(tmp_path),
        MEDIA_ROOTS=str(media),
        MAX_QUEUED_REQUESTS="1",
        REQUEST_TIMEOUT_S="2",
    ) as server:
        answers: list[httpx.Response] = []
        slow = threading.Thread(
            target=lambda: answers.append(
                server.infer(
                    "objects", media / "clip.mp4", model_name="slow-3000.pt", frame_interval=20
                )
            )
        )
        slow.start()
        while server.client.get("/health").json()["workers"][0]["queue_depth"] == 0:
            assert slow.is_alive()
        refused = server.infer("scenes", media / "clip.mp4")
        check(refused, 429, "overloaded", "MAX_QUEUED_REQUESTS")
        assert int(refused.headers["retry-after"]) >= 1
        slow.join(60)
        check(answers[0], 504, "deadline_exceeded", "REQUEST_TIMEOUT_S")
        assert server.infer("scenes", media / "clip.mp4").status_code == 200
