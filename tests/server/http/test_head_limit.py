"""The limit of a request's head, which is none of its body."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from kept_transport import KeptTransport
from uvicorn.server import ServerState

from server.http.head_limit import MAX_HEAD_BYTES, TOO_LARGE, LimitedHeadProtocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
LARGE = 2 * MAX_HEAD_BYTES
LONG_HEADER = b"X: " + b"a" * LARGE


async def app(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


async def answer(pieces: list[bytes]) -> bytes:
    config = uvicorn.Config(app, log_config=None)
    protocol = LimitedHeadProtocol(config, ServerState(), {})
    transport = KeptTransport()
    protocol.connection_made(transport)
    for piece in pieces:
        if not transport.closed:
            protocol.data_received(piece)
    for task in protocol.tasks:
        task.cancel()
    await asyncio.gather(*protocol.tasks, return_exceptions=True)
    assert transport.closed == bool(transport.written)
    return transport.written


@pytest.mark.parametrize(
    "pieces",
    [
        [GET + LONG_HEADER],
        [GET, LONG_HEADER],
        [GET, *[b"X: a\r\n"] * MAX_HEAD_BYTES],
        [b"GET /", b"a" * LARGE],
        [POST % 1 + b"x", GET, LONG_HEADER],
        [POST % 1 + b"x" + GET, LONG_HEADER],
    ],
)
def test_a_large_head_is_refused(pieces: list[bytes]) -> None:
    assert asyncio.run(answer(pieces)) == TOO_LARGE


@pytest.mark.parametrize(
    "pieces",
    [
        [GET + b"\r\n"],
        [GET + b"X: " + b"a" * (MAX_HEAD_BYTES - 100), b"\r\n\r\n"],
        [POST % LARGE + b"a" * LARGE],
        [POST % LARGE, b"a" * LARGE],
        [POST % LARGE, b"a" * LARGE + GET],
        [POST % LARGE + b"a" * LARGE + GET, b"\r\n"],
    ],
)
def test_a_large_body_is_not(pieces: list[bytes]) -> None:
    assert asyncio.run(answer(pieces)) == b""
