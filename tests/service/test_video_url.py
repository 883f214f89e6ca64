"""Videos by address: the results of the file itself, refusals, and what is left afterwards."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from payload import payload
from running import Server, running
from web_server import (
    CERTIFICATE,
    Flaky,
    WebServer,
    content,
    hang_up,
    redirect,
    send_head,
    status,
    web_server,
)

from bench.clips.generate import make_small

DEADLINE_S = 60
FIELDS = {"model_name": "slow-1.pt", "frame_interval": 2}
PLACES = 2
SECRET = "s3cret"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=4, width=320, height=180, fps=10, audio=False)
    return folder


@pytest.fixture(scope="module")
def clip(media: Path) -> bytes:
    return (media / "clip.mp4").read_bytes()


@pytest.fixture(scope="module")
def web(clip: bytes) -> Iterator[WebServer]:
    with web_server() as web:
        web.routes["/clip.mp4"] = content(clip)
        yield web


@pytest.fixture(scope="module")
def safe(clip: bytes) -> Iterator[WebServer]:
    with web_server(tls=True) as web:
        web.routes["/clip.mp4"] = content(clip)
        yield web


@pytest.fixture(scope="module")
def unlisted() -> Iterator[WebServer]:
    with web_server() as web:
        yield web


@pytest.fixture(scope="module")
def server(media: Path, web: WebServer, safe: WebServer) -> Iterator[Server]:
    hosts = f"127.0.0.1:{web.port}, 127.0.0.1:{safe.port}, localhost:{web.port}, 127.1:{web.port}"
    with running(
        "fake_server",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        MAX_UPLOAD_MB="1",
        DECODE_PROCESSES="1",
        VIDEO_URL_HOSTS=hosts,
        MAX_QUEUED_REQUESTS=str(PLACES),
        SSL_CERT_FILE=str(CERTIFICATE),
        LOG_LEVEL="DEBUG",
    ) as server:
        yield server


def ask(server: Server, url: str, **headers: str) -> httpx.Response:
    """The response about the video at `url`."""
    body = {"video_url": url, **FIELDS}
    return server.client.post("/infer/objects", json=body, headers=headers)


def check(response: httpx.Response, status: int, code: str, *words: str) -> dict[str, Any]:
    """The response is a problem document that says so, and shows no secret."""
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    for word in words:
        assert word in problem["detail"]
    assert SECRET not in response.text
    return problem


def temporary_files(server: Server) -> list[str]:
    """The deleted files that the front and the decoder hold open."""
    found = []
    for pid in (server.process.pid, server.pid_of("decoder-0")):
        for link in Path("/proc", str(pid), "fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                found.append(os.readlink(link))
    return [path for path in found if "deleted" in path and "shm" not in path]


@pytest.fixture(autouse=True)
def _no_file_is_left(server: Server) -> Iterator[None]:
    before = temporary_files(server)
    yield
    server.wait_until(lambda: temporary_files(server) == before, "the files are closed")


def test_the_results_are_those_of_the_file(
    server: Server, media: Path, web: WebServer, safe: WebServer, clip: bytes
) -> None:
    named = server.infer("objects", media / "clip.mp4", **FIELDS).json()
    web.routes["/moved"] = redirect(f"{safe.url}/clip.mp4?{SECRET}")
    web.routes["/flaky"] = Flaky(clip, len(clip) // 2, {"ETag": '"a"'})
    urls = [f"{web.url}/clip.mp4?{SECRET}", f"{safe.url}/clip.mp4", f"{web.url}/moved"]
    for url in (*urls, f"{web.url}/flaky?{SECRET}"):
        response = ask(server, url)
        assert response.status_code == 200, response.text
        assert payload(response.json()) == payload(named)
        assert response.json()["provenance"] == named["provenance"]


def test_a_stream_and_several_tasks(server: Server, media: Path, web: WebServer) -> None:
    body = {"video_url": f"{web.url}/clip.mp4", "tasks": {"objects": FIELDS, "scenes": {}}}
    plain = server.client.post("/infer", json=body).json()
    assert set(plain["results"]) == {"objects", "scenes"}
    body = {"video_url": f"{web.url}/clip.mp4", **FIELDS}
    accept = {"Accept": "application/x-ndjson"}
    streamed = server.client.post("/infer/objects", json=body, headers=accept)
    events = [json.loads(line) for line in streamed.text.splitlines()]
    assert payload(events[-2]["response"]) == payload(plain["results"]["objects"])
    body["video_url"] = f"{web.url}/none"
    check(server.client.post("/infer/objects", json=body, headers=accept), 400, "video_not_found")


def test_fields(server: Server, web: WebServer) -> None:
    def fields(**body: object) -> list[str]:
        response = server.client.post("/infer/objects", json=body)
        return [error["field"] for error in check(response, 422, "invalid_request")["errors"]]

    url = f"{web.url}/clip.mp4"
    assert fields() == ["video_path"]
    assert fields(video_path="clip.mp4", video_url=url) == ["video_url"]
    for wrong in (5, None, "", "clip.mp4", f"http://{SECRET}@127.0.0.1/", "file:///etc/passwd"):
        assert fields(video_url=wrong) == ["video_url"]
    files = {"file": b"", "request": (None, json.dumps({"video_url": url}))}
    response = server.client.post("/infer/objects", files=files)
    assert check(response, 422, "invalid_request")["errors"][0]["field"] == "video_url"


def test_addresses_that_are_not_allowed(
    server: Server, web: WebServer, unlisted: WebServer
) -> None:
    listed = check(ask(server, f"{unlisted.url}/{SECRET}"), 403, "address_not_allowed")
    assert "VIDEO_URL_HOSTS" in listed["detail"]
    web.routes["/away"] = redirect(f"{unlisted.url}/{SECRET}")
    check(ask(server, f"{web.url}/away"), 403, "address_not_allowed", str(unlisted.port))
    assert unlisted.requests == []
    for host in ("localhost", "127.1"):  # listed, but not as ones that may lead to 127.0.0.1
        response = ask(server, f"http://{host}:{web.port}/clip.mp4")
        check(response, 403, "address_not_allowed", "leads to an address")
    assert server.metric('eioku_requests_rejected_total{reason="address_not_allowed"}') >= 4


def test_what_servers_do_wrong(server: Server, web: WebServer) -> None:
    web.routes |= {"/gone": status(410), "/broken": status(500), "/dropped": hang_up}
    web.routes["/large"] = content(bytes(2 << 20))
    web.routes["/rubbish"] = content(b"no video" * 1000)
    check(ask(server, f"{web.url}/gone?{SECRET}"), 400, "video_not_found", "410")
    check(ask(server, f"{web.url}/broken?{SECRET}"), 502, "download_failed", "500")
    check(ask(server, f"{web.url}/dropped?{SECRET}"), 502, "download_failed", "cut off")
    check(ask(server, f"{web.url}/large?{SECRET}"), 413, "upload_too_large", "MAX_UPLOAD_MB")
    check(ask(server, f"{web.url}/rubbish?{SECRET}"), 422, "undecodable_video")
    check(ask(server, f"https://127.0.0.1:{web.port}/x"), 502, "download_failed", "TLS")


def test_the_log_has_no_secret(server: Server, web: WebServer) -> None:
    """Not even at DEBUG."""
    web.routes["/signed"] = redirect(f"/clip.mp4?{SECRET}")
    assert ask(server, f"{web.url}/signed?{SECRET}").status_code == 200
    event = server.wait_for("video downloaded")
    assert event["origin"] == web.url
    assert not [event for event in server.log if SECRET in str(event)]


class Held:
    """A file whose rest is sent when the test says so."""

    def __init__(self, data: bytes) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._data = data

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        """Send half of the file, and wait."""
        send_head(handler, 200, len(self._data))
        half = len(self._data) // 2
        handler.wfile.write(self._data[:half])
        self.begun.release()
        if self.go_on.wait(DEADLINE_S):
            handler.wfile.write(self._data[half:])
        else:
            raise TimeoutError


def test_a_download_takes_a_place(server: Server, web: WebServer, clip: bytes) -> None:
    web.routes["/held"] = held = Held(clip)
    with ThreadPoolExecutor(PLACES) as clients:
        answers = [clients.submit(ask, server, f"{web.url}/held") for _ in range(PLACES)]
        try:
            for _ in answers:
                assert held.begun.acquire(timeout=DEADLINE_S)
            before = len(web.requests)
            check(ask(server, f"{web.url}/clip.mp4"), 429, "overloaded")
            assert len(web.requests) == before
            assert server.client.get("/livez").status_code == 200
        finally:
            held.go_on.set()
        assert [answer.result(DEADLINE_S).status_code for answer in answers] == [200] * PLACES


def test_a_deadline_of_the_clients_own(server: Server, web: WebServer, clip: bytes) -> None:
    web.routes["/held"] = held = Held(clip)
    late = ask(server, f"{web.url}/held", **{"X-Request-Timeout": "0.3"})
    held.go_on.set()
    check(late, 504, "deadline_exceeded", "0.3 s")


def test_a_client_that_hangs_up_ends_the_download(server: Server, web: WebServer) -> None:
    closed = threading.Event()
    begun = threading.Event()

    def endless(handler: BaseHTTPRequestHandler) -> None:
        send_head(handler, 200, 1 << 19)
        handler.wfile.write(b"begin")
        begun.set()
        handler.connection.settimeout(DEADLINE_S)
        if handler.connection.recv(1) == b"":
            closed.set()

    web.routes["/endless"] = endless
    cancelled = server.metric("eioku_requests_cancelled_total")
    body = json.dumps({"video_url": f"{web.url}/endless", **FIELDS}).encode()
    head = b"POST /infer/objects HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as connection:
        connection.sendall(head % len(body) + body)
        assert begun.wait(DEADLINE_S)
    assert closed.wait(DEADLINE_S)
    server.wait_until(
        lambda: server.metric("eioku_requests_cancelled_total") == cancelled + 1, "it is counted"
    )


def test_without_the_setting_it_is_off(media: Path, web: WebServer) -> None:
    before = len(web.requests)
    with running("fake_server", MODEL_CACHE_DIR=str(media), MEDIA_ROOTS=str(media)) as server:
        response = ask(server, f"{web.url}/clip.mp4")
        check(response, 403, "address_not_allowed", "VIDEO_URL_HOSTS")
    assert len(web.requests) == before
