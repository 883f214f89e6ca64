"""Clients that do not read their streams: they hold nothing that another client needs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from payload import payload
from running import Server, running

from bench.clips.generate import make_long

STREAMS = 12
CANCELLED = "eioku_requests_cancelled_total"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_long(folder / "long.mp4", frames=9000, width=640, height=360)
    return folder


@pytest.fixture
def server(media: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A pool of 97 frames; `param` is STREAM_STALL_S."""
    with running(
        "fake_server",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        FRAME_POOL_MB="64",
        STREAM_STALL_S=request.param,
    ) as server:
        yield server


def unread(server: Server, clip: Path, start_ms: int) -> socket.socket:
    """A client that asks for every frame from some time on, and never reads the 20 kB of each."""
    body = {"video_path": str(clip), "model_name": "long-20000.pt", "frame_interval": 1}
    content = json.dumps(body | {"start_ms": start_ms}).encode()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    head = (
        "POST /infer/objects HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    client.sendall(head.encode() + content)
    return client


def wait_until_blocked(server: Server) -> None:
    """Wait until every stream waits for its client: nothing is leased although all go on."""
    deadline = time.monotonic() + 60
    while True:
        pool = server.client.get("/health").json()["frame_pool"]
        if pool["used"] and not pool["leased"]:
            break
        assert time.monotonic() < deadline, pool
    assert server.metric("eioku_requests_in_progress") == STREAMS


@pytest.mark.parametrize("server", ["600"], indirect=True)
def test_they_hold_no_frames_while_they_do_not_read(server: Server, media: Path) -> None:
    clip = media / "long.mp4"
    with ExitStack() as clients:
        for number in range(STREAMS):
            clients.enter_context(closing(unread(server, clip, number * 10_000)))
        wait_until_blocked(server)
        fields = {"model_name": "slow-0.pt", "frame_interval": 1, "start_ms": 290_000}
        answer = server.infer("objects", clip, **fields, end_ms=299_000)
        assert answer.status_code == 200
        assert len(payload(answer.json())["detections"]) == 270
        wait_until_blocked(server)


@pytest.mark.parametrize("server", ["0.5"], indirect=True)
def test_a_stream_that_is_not_read_ends(server: Server, media: Path) -> None:
    with closing(unread(server, media / "long.mp4", 0)) as client:
        server.wait_for("stream not read")
        server.wait_for("request", path="/infer/objects")
        assert server.metric("eioku_requests_in_progress") == 0
        assert server.metric(CANCELLED) == 1
        received = b""
        client.settimeout(60)
        while block := client.recv(1 << 20):
            received += block
        assert b'"event":"started"' in received
        assert b'"event":"done"' not in received
