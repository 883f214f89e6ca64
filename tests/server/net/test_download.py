"""Downloads from a server that redirects, refuses, stalls or lies."""

from __future__ import annotations

import dataclasses
import ssl
import tempfile
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fetched import DATA, DEADLINE_S, LIMIT_BYTES, MB, fails, fetch, rubbish
from web_server import (
    CERTIFICATE,
    Respond,
    WebServer,
    content,
    redirect,
    send_head,
    status,
    web_server,
)

from server.errors import Problem
from server.net import checked_connections
from server.net import download as module
from server.net.destinations import NotPermitted
from server.net.download import DownloadFailed, NotThere


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
