"""Requests that are wrong as HTTP, as JSON or as a form: each with the statuses it may get."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from raw_http import CLOSED, head, post

MB = 1 << 20
JSON = "Content-Type: application/json"
FORM = "Content-Type: multipart/form-data; boundary=x"
CLIP = "/nowhere/clip.mp4"
GOOD_BODY = json.dumps({"video_path": CLIP}).encode()  # outside MEDIA_ROOTS: 403
PART = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'


@dataclass(frozen=True)
class BadRequest:
    """What is sent, and the first status that is right."""

    pieces: Iterable[bytes]
    allowed: frozenset[str]


def _bad(allowed: str, *pieces: bytes) -> BadRequest:
    return BadRequest(pieces, frozenset(allowed.split()))


def _chunked(block: bytes, count: int) -> Iterator[bytes]:
    yield head(JSON, "Transfer-Encoding: chunked")
    for _ in range(count):
        yield b"%x\r\n%b\r\n" % (len(block), block)
    yield b"0\r\n\r\n"


def _nested(opening: bytes, closing: bytes, depth: int = 100_000) -> bytes:
    return opening * depth + closing * depth


def bad_json() -> dict[str, BadRequest]:
    """Bodies that are no request."""
    within = b'{"video_path": "/x", "classes": %b}'
    return {
        "nested lists": _bad("400", post(_nested(b"[", b"]"))),
        "nested objects": _bad("400", post(_nested(b'{"a":', b"}"))),
        "nested in a field": _bad("400", post(within % _nested(b"[", b"]"))),
        "never closed": _bad("400", post(b"[" * 900_000)),
        "UTF-16": _bad("400", post(GOOD_BODY.decode().encode("utf-16"))),
        "Latin-1": _bad("400", post(b'{"video_path": "/caf\xe9.mp4"}')),
        "overlong UTF-8": _bad("400", post(b'{"video_path": "/\xc0\xaf.mp4"}')),
        "byte order mark": _bad("400", post(b"\xef\xbb\xbf" + GOOD_BODY)),
        "NaN": _bad("400", post(b'{"video_path": "/x", "confidence_threshold": NaN}')),
        "1e999": _bad("400 422", post(b'{"video_path": "/x", "confidence_threshold": 1e999}')),
        "a huge integer": _bad(
            "400 422", post(b'{"video_path": "/x", "start_ms": %b}' % (b"9" * 99_999))
        ),
        "two values": _bad("400", post(GOOD_BODY + GOOD_BODY)),
        "zeros": _bad("400", post(bytes(10_000))),
        "gzip": _bad("400", post(gzip.compress(GOOD_BODY), JSON, "Content-Encoding: gzip")),
        "a list": _bad("422", post(b"[]")),
        "too large": _bad("413", post(b" " * (2 * MB))),
        "too large, in chunks": BadRequest(_chunked(b" " * MB, 3), frozenset({"413"})),
        "100 000 fields": _bad(
            "413 422", post(json.dumps({f"f{i}": i for i in range(60_000)}).encode())
        ),
    }


def bad_http() -> dict[str, BadRequest]:
    """Requests that break HTTP."""
    return {
        "length too long": _bad(CLOSED, post(GOOD_BODY, length=1000)),
        "length too short": _bad("400", post(GOOD_BODY, length=5)),
        "negative length": _bad("400", post(GOOD_BODY, length=-1)),
        "length that is no number": _bad("400", head(JSON, "Content-Length: ten")),
        "length of 400 digits": _bad("400 413", head(JSON, "Content-Length: " + "9" * 400)),
        "two lengths": _bad(
            "400", head(JSON, "Content-Length: 5", "Content-Length: 9") + GOOD_BODY
        ),
        "length and chunks": _bad(
            "400", head(JSON, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"
        ),
        "chunk of 2⁶⁴ bytes": _bad(
            "400", head(JSON, "Transfer-Encoding: chunked") + b"1ffffffffffffffff\r\nx"
        ),
        "chunk that is no number": _bad(
            "400", head(JSON, "Transfer-Encoding: chunked") + b"zz\r\n"
        ),
        "no request": _bad("400", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)),
        "HTTP/2 preface": _bad("400 405 404", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        "HTTP/9.9": _bad("400", b"GET / HTTP/9.9\r\n\r\n"),
        "absolute target": _bad(
            "200 404",
            b"GET http://x/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ),
        "space in a name": _bad("400", head("Bad Name: x")),
        "NUL in a header": _bad("400", head("X: a\0b")),
        "line break in a header": _bad("400", head("X: a\nb")),
        "path that is not UTF-8": _bad("404", head(method="GET", path="/%ff%fe%00")),
        "path with a NUL": _bad("400 404", b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "path of 60 000 characters": _bad("404 431", head(method="GET", path="/" + "a" * 60_000)),
        "header of 60 000 characters": _bad("403 431", post(GOOD_BODY, JSON, "X: " + "a" * 60_000)),
        "header of 2 MB": _bad("431", head("X: " + "a" * 2 * MB)),
        "path of 2 MB": _bad("400 431", head(method="GET", path="/" + "a" * 2 * MB)),
        "50 000 headers": _bad("431", head(*(f"X-{i}: a" for i in range(50_000)))),
        "upgrade": _bad(
            "400 403", post(GOOD_BODY, JSON, "Connection: upgrade", "Upgrade: websocket")
        ),
        "unknown method": _bad("400 405", head(method="STEAL")),
        "half a request": _bad(CLOSED, b"POST /infer/obj"),
        "nothing": _bad(CLOSED, b""),
    }


def bad_forms() -> dict[str, BadRequest]:
    """Uploads that are no form, or too large."""
    long_name = b"f" * 100_000
    return {
        "a length of 1 TB": _bad("413", head(FORM, f"Content-Length: {1 << 40}")),
        "no boundary": _bad("422", post(b"x", "Content-Type: multipart/form-data")),
        "a long boundary": _bad("422", post(b"x", FORM + "x" * 5000)),
        "no closing boundary": _bad("422", post(PART % (b"file", b"abc"), FORM)),
        "no file": _bad("422", post(PART % (b"request", b"{}") + b"--x--", FORM)),
        "unknown part": _bad("422", post(PART % (b"other", b"{}") + b"--x--", FORM)),
        "a part's name of 100 kB": _bad("422", post(PART % (long_name, b"{}") + b"--x--", FORM)),
        "a part's header of 3 MB": _bad("413 422", post(b"--x\r\nX: " + b"a" * 3 * MB, FORM)),
        "10 000 headers of a part": _bad("413 422", post(b"--x\r\n" + b"X: a\r\n" * 10_000, FORM)),
        "two files": _bad("422", post(2 * (PART % (b"file", b"a")) + b"--x--", FORM)),
        "request of 2 MB": _bad("413", post(PART % (b"request", b" " * 2 * MB) + b"--x--", FORM)),
        "file too large": _bad("413", post(PART % (b"file", bytes(4 * MB)) + b"--x--", FORM)),
        "request that is no JSON": _bad(
            "400", post(PART % (b"file", b"a") + PART % (b"request", b"\xff") + b"--x--", FORM)
        ),
        "file that is no video": _bad("422", post(PART % (b"file", b"abc") + b"--x--", FORM)),
        "empty file": _bad("422", post(PART % (b"file", b"") + b"--x--", FORM)),
    }
