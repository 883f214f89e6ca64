"""Downloads from a server that redirects, hangs up, stalls or lies."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import ssl
import tempfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import xxhash
from web_server import (
    CERTIFICATE,
    Flaky,
    Respond,
    WebServer,
    content,
    hang_up,
    redirect,
    send_head,
    status,
    web_server,
)

from server.errors import Problem
from server.http.stored_video import StoredVideo, stored_video
from server.net import checked_connections
from server.net import download as module
from server.net.checked_connections import connections
from server.net.destinations import NotPermitted, parser
from server.net.download import DownloadFailed, NotThere, download
from server.net.web_address import parse

DEADLINE_S = 60
MB = 1 << 20
DATA = os.urandom(300_000)
STEP = 130_000
LIMIT_BYTES = 4 * MB
OLD = "Tue, 01 Jan 2019 00:00:00 GMT"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (0.0,) * len(module.PAUSES_S))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as web:
        yield web


def fetch(web: WebServer, path: str = "/clip.mp4", setting: str = "") -> bytes:
    """What is downloaded; its hash is checked."""

    async def run() -> bytes:
        hosts = parser("SOME_HOSTS")(setting or f"127.0.0.1:{web.port}")
        async with stored_video(LIMIT_BYTES, "video") as video:
            async with await connections(hosts) as pool:
                await download(parse(web.url + path), video, pool)
            return await whole(video)

    return asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


async def whole(video: StoredVideo) -> bytes:
    received = Path((await video.complete()).path).read_bytes()
    assert video.size_bytes == len(received)
    assert video.input_hash == xxhash.xxh64(received).hexdigest()
    return received


def fails(web: WebServer, kind: type[Exception], says: str, path: str = "/clip.mp4") -> None:
    with pytest.raises(kind, match=says) as failure:
        fetch(web, path)
    assert "secret" not in str(failure.value)


def test_a_file(web: WebServer) -> None:
    web.routes["/clip.mp4"] = content(DATA)
    assert fetch(web, "/clip.mp4?secret=%2F%2b") == DATA
    assert web.requests[0][0] == "/clip.mp4?secret=%2F%2b"
    assert web.headers("accept-encoding") == ["identity"]
    assert web.headers("range") == [None]


def chunked(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for piece in (DATA[:7], DATA[7:]):
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


def until_closed(handler: BaseHTTPRequestHandler) -> None:
    send_head(handler, 200, None)
    handler.wfile.write(DATA)


@pytest.mark.parametrize("respond", [chunked, until_closed])
def test_a_file_whose_length_is_not_declared(web: WebServer, respond: Respond) -> None:
    web.routes["/clip.mp4"] = respond
    assert fetch(web) == DATA


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects(web: WebServer, code: int) -> None:
    web.routes["/clip.mp4"] = redirect("a/b?secret", code)
    web.routes["/a/b"] = redirect(f"{web.url}/c", code)
    web.routes["/c"] = content(DATA)
    assert fetch(web) == DATA


def test_redirects_in_a_circle_end(web: WebServer) -> None:
    web.routes["/clip.mp4"] = redirect("/clip.mp4?secret")
    fails(web, DownloadFailed, "more than 5 redirects")
    assert len(web.requests) == 6


@pytest.mark.parametrize(
    "location", ["file:///etc/secret", "http://u:secret@127.0.0.1/", "http://["]
)
def test_redirects_to_what_is_no_address(web: WebServer, location: str) -> None:
    web.routes["/clip.mp4"] = redirect(location)
    fails(web, DownloadFailed, "redirects to a URL of which")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "0x7f.1"])
def test_redirects_to_a_host_that_is_not_listed(web: WebServer, host: str) -> None:
    with web_server() as other:
        other.routes["/secret"] = content(DATA)
        web.routes["/clip.mp4"] = redirect(f"http://{host}:{other.port}/secret")
        fails(web, NotPermitted, "does not list")
        assert other.requests == []


def test_redirects_from_https_to_http(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(cafile=CERTIFICATE)
    monkeypatch.setattr(checked_connections, "_tls", lambda: context)
    with web_server(tls=True) as safe:
        safe.routes["/clip.mp4"] = redirect(f"{web.url}/secret")
        with pytest.raises(NotPermitted, match="https to http"):
            fetch(safe, setting=f"127.0.0.1:{safe.port},127.0.0.1:{web.port}")
    assert web.requests == []


@pytest.mark.parametrize(
    ("headers", "ranges"),
    [
        ({"ETag": '"a"'}, [None, "bytes=130000-", "bytes=260000-"]),
        ({"Last_Modified": OLD}, [None, "bytes=130000-", "bytes=260000-"]),
    ],
)
def test_a_lost_connection_is_resumed(
    web: WebServer, headers: dict[str, str], ranges: list[str | None]
) -> None:
    web.routes["/clip.mp4"] = Flaky(DATA, STEP, headers)
    assert fetch(web) == DATA
    assert web.headers("range") == ranges
    (value,) = headers.values()
    assert web.headers("if-range") == [None, value, value]


def test_a_redirected_download_is_resumed(web: WebServer) -> None:
    web.routes["/clip.mp4"] = redirect("/signed?secret")
    web.routes["/signed"] = Flaky(DATA, 200_000, {"ETag": '"a"'})
    assert fetch(web) == DATA
    assert [path for path, _ in web.requests] == ["/clip.mp4", "/signed?secret"] * 2


def in_turn(*responses: Respond) -> Respond:
    """Another response to each request."""
    left = list(responses)
    return lambda handler: left.pop(0)(handler)


def half(**headers: str) -> Respond:
    """The first part of DATA, and then a lost connection."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        send_head(handler, 200, len(DATA), **headers)
        handler.wfile.write(DATA[:STEP])
        hang_up(handler)

    return respond


def rubbish(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"no HTTP\r\n\r\n")


OTHER = os.urandom(200_000)
REST = f"bytes {STEP}-{len(DATA) - 1}/{len(DATA)}"


@pytest.mark.parametrize(
    "second",
    [
        [content(OTHER, ETag='"b"')],
        [content(OTHER[STEP:], 206, ETag='"b"', Content_Range=REST), content(OTHER)],
        [content(DATA[STEP + 1 :], 206, Content_Range=REST.replace("0-", "1-")), content(OTHER)],
        [content(DATA[STEP:], 206), content(OTHER)],
        [status(416), content(OTHER)],
        [status(503), content(OTHER)],
        [rubbish, content(OTHER)],
    ],
    ids=["changed", "ignores-if-range", "other-part", "no-range", "416", "503", "rubbish"],
)
def test_what_cannot_be_resumed_is_begun_again(web: WebServer, second: list[Respond]) -> None:
    web.routes["/clip.mp4"] = in_turn(half(ETag='"a"'), *second)
    assert fetch(web) == OTHER


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"a"'},
        {"ETag": 'W/"a"', "Last_Modified": OLD},
        {"Last_Modified": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"Last_Modified": "yesterday"},
    ],
)
def test_without_a_strong_validator_it_is_begun_again(
    web: WebServer, headers: dict[str, str]
) -> None:
    web.routes["/clip.mp4"] = in_turn(half(**headers), content(DATA))
    assert fetch(web) == DATA
    assert web.headers("range") == [None, None]


@pytest.mark.parametrize("seed", range(60))
def test_a_file_that_changes_is_never_mixed(web: WebServer, seed: int) -> None:
    """Each response is one of two versions, whole or broken off; some servers ignore If-Range."""
    chance = random.Random(seed)
    versions = [chance.randbytes(chance.randrange(1, 200_000)) for _ in range(2)]
    ranges = chance.choice(["honest", "no-if-range", "none"])

    def respond(handler: BaseHTTPRequestHandler) -> None:
        version = chance.randrange(2)
        data, tag = versions[version], f'"{version}"'
        begin = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        if ranges == "none" or (ranges == "honest" and handler.headers["If-Range"] != tag):
            begin = 0
        if begin >= len(data):
            send_head(handler, 416, 0)
            return
        part = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        headers = {"Content_Range": part} if begin else {}
        send_head(handler, 206 if begin else 200, len(data) - begin, ETag=tag, **headers)
        end = chance.choice([len(data), chance.randrange(begin, len(data) + 1)])
        handler.wfile.write(data[begin:end])
        if end < len(data):
            hang_up(handler)

    web.routes["/clip.mp4"] = respond
    try:
        assert fetch(web) in versions
    except DownloadFailed:
        assert len(web.requests) == 5


def test_a_connection_that_is_always_lost(web: WebServer) -> None:
    web.routes["/clip.mp4"] = half()
    fails(web, DownloadFailed, "cut off")
    assert len(web.requests) == 5


def test_a_server_that_is_gone_meanwhile_is_asked_again(web: WebServer) -> None:
    web.routes["/clip.mp4"] = in_turn(half(), hang_up, hang_up, content(DATA))
    assert fetch(web) == DATA


def test_a_failure_before_the_first_byte_is_final(web: WebServer) -> None:
    web.routes["/clip.mp4"] = hang_up
    fails(web, DownloadFailed, "cut off")
    assert len(web.requests) == 1


def test_a_length_that_is_too_small_cuts_the_file(web: WebServer) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        send_head(handler, 200, 1000)
        handler.wfile.write(DATA)

    web.routes["/clip.mp4"] = respond
    assert fetch(web) == DATA[:1000]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_of_the_server(web: WebServer, code: int) -> None:
    web.routes["/clip.mp4"] = status(code)
    fails(web, NotThere, str(code), "/clip.mp4?secret")


@pytest.mark.parametrize("code", [204, 206, 304, 408, 416, 429, 500, 503])
def test_an_answer_that_is_no_file(web: WebServer, code: int) -> None:
    web.routes["/clip.mp4"] = status(code)
    kind = NotThere if code == 416 else DownloadFailed
    fails(web, kind, str(code), "/clip.mp4?secret")


def test_a_file_that_is_compressed(web: WebServer) -> None:
    web.routes["/clip.mp4"] = content(DATA, Content_Encoding="gzip")
    fails(web, DownloadFailed, "compressed")


def two_lengths(handler: BaseHTTPRequestHandler) -> None:
    send_head(handler, 200, 1, Content_Length="2")
    handler.wfile.write(b"12")


def endless_head(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Header: %b\r\n" % (b"x" * 1000))


@pytest.mark.parametrize("respond", [two_lengths, endless_head, rubbish])
def test_what_is_not_http(web: WebServer, respond: Respond) -> None:
    web.routes["/clip.mp4"] = respond
    fails(web, DownloadFailed, "not valid HTTP")


def test_a_server_that_pauses(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(handler: BaseHTTPRequestHandler) -> None:
        web.released.wait(DEADLINE_S)

    monkeypatch.setitem(module.TIMEOUTS, "read", 0.01)
    web.routes["/clip.mp4"] = pause
    fails(web, DownloadFailed, "in time: no data")


def test_nobody_listens(web: WebServer) -> None:
    with web_server() as gone:
        pass
    with pytest.raises(DownloadFailed, match="connection failed"):
        fetch(gone)


def test_no_tls_and_an_unknown_certificate(web: WebServer) -> None:
    with pytest.raises(DownloadFailed, match="TLS handshake"):
        fetch(dataclasses.replace(web, scheme="https"))
    with (
        web_server(tls=True) as unknown,
        pytest.raises(DownloadFailed, match=r"certificate is not accepted: self.signed"),
    ):
        fetch(unknown)


def too_large(web: WebServer) -> None:
    with pytest.raises(Problem, match="MAX_UPLOAD_MB") as refusal:
        fetch(web)
    assert refusal.value.code == "upload_too_large"


def test_too_large_by_the_servers_own_account(web: WebServer) -> None:
    def only_head(handler: BaseHTTPRequestHandler) -> None:
        send_head(handler, 200, LIMIT_BYTES + 1)
        web.released.wait(DEADLINE_S)

    web.routes["/clip.mp4"] = only_head
    too_large(web)


def test_a_disk_that_is_full(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(Path("/dev/full").open, "wb+"))
    web.routes["/clip.mp4"] = content(bytes(3 * MB))
    with pytest.raises(Problem, match="TMPDIR") as refusal:
        fetch(web)
    assert refusal.value.code == "insufficient_storage"


def test_endless(web: WebServer) -> None:
    """It ends because the client closes the connection."""
    sent: list[int] = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        send_head(handler, 200, None)
        try:
            while True:
                sent.append(handler.wfile.write(bytes(1 << 16)))
        except OSError:
            web.released.set()

    web.routes["/clip.mp4"] = endless
    too_large(web)
    assert web.released.wait(DEADLINE_S)
    assert sum(sent) > LIMIT_BYTES
