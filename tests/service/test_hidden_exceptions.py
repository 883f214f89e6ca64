"""A fault of ours is a 500 that says nothing of exceptions, paths and libraries; the log does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from event_streams import NDJSON, read_events
from held_tasks import SECRET
from running import Server, running

from bench.clips.generate import make_small

NEVER = ("LookupError", "Error:", "secret", "Traceback", ".py", "decord", "numpy", "msgspec")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=2, fps=10, audio=False)
    make_small(folder / "raise.mp4", seconds=2, fps=10, audio=False, seed=2)
    return folder


@pytest.fixture(scope="module")
def server(media: Path) -> Iterator[Server]:
    with running(
        "held_server",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        EIOKU_TEST_FOLDER=str(media),
    ) as server:
        yield server


def check(problem: dict[str, Any], media: Path) -> None:
    """A 500 that gives nothing away, and says where to look."""
    assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert set(problem) == {"type", "title", "status", "detail", "code"}
    for words in (*NEVER, str(media)):
        assert words not in str(problem)
    assert "X-Request-ID" in problem["detail"]


# What raises: a task in its worker, or a decoder; the file, and the model.
RAISE = [("clip.mp4", "raise.pt"), ("raise.mp4", "slow-0.pt")]


@pytest.mark.parametrize(("file", "model"), RAISE)
def test_a_plain_request(file: str, model: str, server: Server, media: Path) -> None:
    request_id = f"plain-{model}"
    response = server.client.post(
        "/infer/objects",
        json={"video_path": str(media / file), "model_name": model},
        headers={"X-Request-ID": request_id},
    )
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    check(response.json(), media)
    server.wait_for("request", request_id=request_id)
    logged = [event for event in server.log if event.get("request_id") == request_id]
    assert any(SECRET in event.get("exception", "") for event in logged)


@pytest.mark.parametrize(("file", "model"), RAISE)
def test_a_stream(file: str, model: str, server: Server, media: Path) -> None:
    response = server.client.post(
        "/infer/objects",
        json={"video_path": str(media / file), "model_name": model},
        headers={"Accept": NDJSON},
    )
    events = read_events(response.text, NDJSON)
    assert [event["event"] for event in events] == ["started", "error", "done"]
    check(events[1]["problem"], media)


@pytest.mark.parametrize(("file", "model"), RAISE)
def test_one_of_several_tasks(file: str, model: str, server: Server, media: Path) -> None:
    tasks = {"objects": {"model_name": model}, "scenes": {}}
    body = {"video_path": str(media / file), "tasks": tasks}
    response = server.client.post("/infer", json=body)
    if model == "raise.pt":
        assert list(response.json()["results"]) == ["scenes"]
        check(response.json()["errors"]["objects"], media)
    else:
        assert response.status_code == 500
        check(response.json(), media)


def test_no_process_was_replaced(server: Server, media: Path) -> None:
    """They answer all others as before."""
    clip = media / "clip.mp4"
    assert server.infer("objects", clip, model_name="slow-0.pt").status_code == 200
    workers = server.client.get("/health").json()["workers"]
    assert [worker["restarts"] for worker in workers] == [0, 0]
    assert server.metric("eioku_decoder_restarts_total") == 0
    assert server.client.get("/health").json()["frame_pool"]["leased"] == 0
