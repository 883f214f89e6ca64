"""Downloads whose connection is lost: resumed, or begun again."""

from __future__ import annotations

import os
import random
from http.server import BaseHTTPRequestHandler

import pytest
from fetched import DATA, OLD, STEP, fails, fetch, rubbish
from web_server import (
    Flaky,
    Respond,
    WebServer,
    content,
    hang_up,
    redirect,
    send_head,
    status,
)

from server.net.download import DownloadFailed


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
