"""Streams, uploads, cancelled and combined calls, with a task whose time is known."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from payload import payload
from running import Server, running

from bench.clips.generate import make_long, make_small

DECODED = "eioku_frames_decoded_total"
BATCHES = 'eioku_inference_batch_size_count{task="objects"}'
SLOW = {"model_name": "slow-1.pt", "frame_interval": 2}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=8, width=320, height=180, fps=10, audio=False)
    make_long(folder / "long.mp4", frames=9000, width=640, height=360)
    return folder


@pytest.fixture(scope="module")
def server(media: Path) -> Iterator[Server]:
    with running(
        "fake_server",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        MAX_UPLOAD_MB="1",
        DECODE_PROCESSES="1",
    ) as server:
        yield server


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_stream_tells_it_all_and_adds_up_to_the_plain_answer(server: Server, media: Path) -> None:
    body = {"video_path": str(media / "clip.mp4"), **SLOW}
    plain = server.client.post("/infer/objects", json=body).json()
    streamed = server.client.post(
        "/infer/objects", json=body, headers={"Accept": "application/x-ndjson"}
    )
    assert streamed.headers["content-type"] == "application/x-ndjson"
    events = lines(streamed)
    assert [events[0]["event"], *(e["event"] for e in events[-2:])] == ["started", "result", "done"]
    partial = [item for e in events if e["event"] == "partial" for item in e["items"]]
    assert partial == plain["detections"]
    assert payload(events[-2]["response"]) == payload(plain)
    progress = [e for e in events if e["event"] == "progress"]
    assert [(e["frames_done"], e["frames_total"]) for e in progress] == [
        (done, 40) for done in (8, 16, 24, 32, 40)
    ]


def test_server_sent_events_say_the_same(server: Server, media: Path) -> None:
    body = {"video_path": str(media / "clip.mp4"), **SLOW}
    response = server.client.post(
        "/infer/objects", json=body, headers={"Accept": "text/event-stream"}
    )
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    assert blocks[0][0] == "event: started"
    assert blocks[-1][0] == "event: done"
    assert all(json.loads(data.removeprefix("data: "))["event"] for _, data in blocks)


def test_what_fails_before_the_stream_is_a_status(server: Server, media: Path) -> None:
    response = server.client.post(
        "/infer/objects",
        json={"video_path": str(media / "none.mp4")},
        headers={"Accept": "application/x-ndjson"},
    )
    assert response.status_code == 400
    assert response.json()["code"] == "video_not_found"


def test_one_tasks_failure_spoils_no_other(server: Server, media: Path) -> None:
    tasks = {"objects": SLOW, "scenes": {}, "places": {}, "transcribe": {}, "faces": {"x": 1}}
    body = {"video_path": str(media / "clip.mp4"), "tasks": tasks}
    answer = server.client.post("/infer", json=body).json()
    assert set(answer["results"]) == {"objects", "scenes"}
    codes = {task: problem["code"] for task, problem in answer["errors"].items()}
    assert codes == {
        "places": "model_unavailable",
        "transcribe": "model_unavailable",
        "faces": "invalid_request",
    }
    alone = server.client.post("/infer", json={**body, "tasks": {"places": {}}})
    assert (alone.status_code, alone.json()["code"]) == (503, "model_unavailable")
    unknown = server.client.post("/infer", json={**body, "tasks": {"cats": {}}})
    assert unknown.status_code == 422


def test_three_intervals_share_their_frames(server: Server, media: Path) -> None:
    before = server.metric(DECODED)
    clip = media / "long.mp4"
    for interval in (30, 60, 15):
        fields = {"model_name": "slow-0.pt", "frame_interval": interval, "end_ms": 50_000}
        assert server.infer("objects", clip, **fields).status_code == 200
    assert server.metric(DECODED) - before == len(range(0, 1500, 15))


def test_the_first_partial_comes_long_before_the_end(server: Server, media: Path) -> None:
    before = server.metric(DECODED)
    body = {"video_path": str(media / "long.mp4"), "model_name": "slow-5.pt", "frame_interval": 1}
    with server.client.stream(
        "POST", "/infer/objects", json=body, headers={"Accept": "application/x-ndjson"}
    ) as response:
        for line in response.iter_lines():
            if json.loads(line)["event"] == "partial":
                break
        assert server.metric(DECODED) - before < 0.05 * 9000
    settle(server)


def settle(server: Server) -> None:
    """Until nothing is leased: the end of what a cancelled request still had out."""
    server.wait_until(
        lambda: server.client.get("/health").json()["frame_pool"]["leased"] == 0,
        "nothing is leased",
    )


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_client_that_hangs_up_costs_no_more(server: Server, media: Path, accept: str) -> None:
    cancelled = server.metric("eioku_requests_cancelled_total")
    body = {"video_path": str(media / "long.mp4"), "model_name": "slow-10.pt", "frame_interval": 1}
    headers = {"Accept": accept}
    client = httpx.Client(base_url=server.url, timeout=300)

    def hung_up() -> None:
        with suppress(httpx.HTTPError):
            client.post("/infer/objects", json=body, headers=headers)

    asked = threading.Thread(target=hung_up, daemon=True)
    asked.start()
    while server.client.get("/health").json()["workers"][0]["queue_depth"] == 0:
        assert asked.is_alive()
    close(client)
    while server.metric("eioku_requests_cancelled_total") == cancelled:
        assert server.metric("eioku_requests_in_progress") <= 1
    settle(server)
    decoded = server.metric(DECODED)
    assert server.infer("objects", media / "clip.mp4", **SLOW).status_code == 200
    assert server.metric(DECODED) == decoded  # of the long video nothing more; the clip is known


def close(client: httpx.Client) -> None:
    """Hang up: shut the sockets of a client that another thread is waiting in."""
    pool = client._transport._pool  # type: ignore[attr-defined]
    for connection in pool.connections:
        stream = connection._connection._network_stream
        stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def test_a_short_deadline_of_the_clients_own(server: Server, media: Path) -> None:
    body = {"video_path": str(media / "clip.mp4"), "model_name": "slow-200.pt"}
    late = server.client.post("/infer/objects", json=body, headers={"X-Request-Timeout": "0.2"})
    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    bad = server.client.post("/infer/objects", json=body, headers={"X-Request-Timeout": "soon"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "X-Request-Timeout")


def upload(server: Server, path: Path, **fields: Any) -> httpx.Response:
    with path.open("rb") as file:
        return server.client.post(
            "/infer/objects", files={"file": file}, data={"request": json.dumps(fields)}
        )


def test_an_upload_answers_as_the_file_does(server: Server, media: Path) -> None:
    named = server.infer("objects", media / "clip.mp4", **SLOW).json()
    uploaded = upload(server, media / "clip.mp4", **SLOW)
    assert uploaded.status_code == 200, uploaded.text
    assert payload(uploaded.json()) == payload(named)
    wrong = upload(server, media / "clip.mp4", input_hash="0" * 16)
    assert wrong.json()["code"] == "input_hash_mismatch"
    both = upload(server, media / "clip.mp4", video_path="clip.mp4")
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "video_path")
    (media / "large.bin").write_bytes(bytes(3 << 20))
    large = upload(server, media / "large.bin")
    assert (large.status_code, large.json()["code"]) == (413, "upload_too_large")


def test_of_many_uploads_no_file_is_left(server: Server, media: Path) -> None:
    """Some are broken off in the middle, by a body that ends before its declared length."""

    def open_files() -> list[str]:
        found = []
        for pid in (server.process.pid, server.pid_of("decoder-0")):
            for link in Path("/proc", str(pid), "fd").iterdir():
                with suppress(FileNotFoundError):  # closed since it was listed
                    found.append(os.readlink(link))
        return [path for path in found if "deleted" in path and path.startswith("/tmp")]

    def broken() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield bytes(10_000)
        raise ConnectionError

    before = open_files()  # what the test's own output is captured in
    for number in range(200):
        if number % 4:
            assert upload(server, media / "clip.mp4", **SLOW).status_code == 200
        else:
            with pytest.raises(ConnectionError):
                server.client.post(
                    "/infer/objects",
                    content=broken(),
                    headers={"Content-Type": "multipart/form-data; boundary=x"},
                )
    server.wait_until(lambda: set(open_files()) <= set(before), "no upload is left")


def test_a_long_request_does_not_starve_a_short_one(server: Server, media: Path) -> None:
    """The short one's five batches go in turn with the long one's, not behind its 1125."""
    short = {"model_name": "slow-10.pt", "frame_interval": 2}
    body = {"video_path": str(media / "long.mp4"), "model_name": "slow-10.pt", "frame_interval": 1}

    def batches_while_a_short_one_runs() -> float:
        before = server.metric(BATCHES)
        assert server.infer("objects", media / "clip.mp4", **short).status_code == 200
        return server.metric(BATCHES) - before

    assert batches_while_a_short_one_runs() == 5
    with server.client.stream(
        "POST", "/infer/objects", json=body, headers={"Accept": "application/x-ndjson"}
    ) as response:
        events = response.iter_lines()
        while json.loads(next(events))["event"] != "partial":
            pass

        def read_on() -> None:
            with suppress(httpx.HTTPError, httpx.StreamError):
                for _ in events:
                    pass

        reading = threading.Thread(target=read_on, daemon=True)
        reading.start()
        beside = [batches_while_a_short_one_runs() for _ in range(3)]
        assert reading.is_alive(), "the long request ended too soon to compare with"
    assert 5 < max(beside) <= 60, beside
    settle(server)
