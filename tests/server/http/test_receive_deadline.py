"""Connections whose client does not send, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from kept_transport import KeptTransport
from uvicorn.server import ServerState
from virtual_time import VirtualTime

from server.http.receive_deadline import ReceiveDeadlineProtocol

HEAD_S, BODY_S = 30.0, 20.0
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

App = Callable[[Any, Any, Any], Awaitable[None]]


class Deadline(ReceiveDeadlineProtocol):
    head_s, body_s = HEAD_S, BODY_S


class Connection:
    """A connection to an application, without a socket."""

    def __init__(self, app: App) -> None:
        self.transport = KeptTransport()
        self.protocol = Deadline(uvicorn.Config(app, log_config=None), ServerState(), {})
        self.protocol.connection_made(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.data_received(data)

    @property
    def open(self) -> bool:
        return not self.transport.closed

    async def stays_open(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        assert self.open

    async def closes_within(self, seconds: float) -> None:
        assert self.open
        await asyncio.sleep(seconds)
        assert not self.open

    async def end(self) -> None:
        self.protocol.connection_lost(None)
        for task in self.protocol.tasks:
            task.cancel()
        await asyncio.gather(*self.protocol.tasks, return_exceptions=True)


async def never(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


async def at_once(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


async def reads(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await never(scope, receive, send)


def in_virtual_time(app: App, scenario: Callable[[Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        connection = Connection(app)
        await scenario(connection)
        await connection.end()

    VirtualTime().run(run())


def test_a_connection_without_a_request_is_closed() -> None:
    async def scenario(connection: Connection) -> None:
        await connection.stays_open(HEAD_S - 1)
        await connection.closes_within(1)

    in_virtual_time(never, scenario)


def test_a_head_that_trickles_is_closed() -> None:
    async def scenario(connection: Connection) -> None:
        connection.send(b"GET / HTTP/1.1\r\n")
        for _ in range(int(HEAD_S) - 1):
            connection.send(b"X: a\r\n")
            await connection.stays_open(1)
        await connection.closes_within(1)

    in_virtual_time(never, scenario)


def test_a_second_head_that_does_not_end_is_closed() -> None:
    """Its time starts with its first byte: uvicorn itself limits the time before it."""

    async def scenario(connection: Connection) -> None:
        connection.send(GET)
        await connection.stays_open(connection.protocol.timeout_keep_alive - 1)
        connection.send(GET[:10])
        await connection.stays_open(HEAD_S - 1)
        connection.send(GET[10:20])
        await connection.closes_within(1)

    in_virtual_time(at_once, scenario)


def test_a_body_that_pauses_is_closed() -> None:
    async def scenario(connection: Connection) -> None:
        connection.send(HEAD)
        for _ in range(10):
            await connection.stays_open(BODY_S - 1)
            connection.send(b"x")
        await connection.stays_open(BODY_S - 1)
        await connection.closes_within(1)

    in_virtual_time(reads, scenario)


@pytest.mark.parametrize(
    ("sent", "then"), [(GET, GET[:20]), (HEAD + b"x" * 100, GET[:20]), (GET + GET[:20], GET[20:25])]
)
def test_a_request_that_is_answered_is_not_disturbed(sent: bytes, then: bytes) -> None:
    async def scenario(connection: Connection) -> None:
        connection.send(sent)
        await connection.stays_open(100 * HEAD_S)
        connection.send(then)
        await connection.stays_open(100 * HEAD_S)

    in_virtual_time(never, scenario)


def test_a_body_that_the_service_is_slow_to_read_does_not_pause() -> None:
    async def scenario(connection: Connection) -> None:
        connection.send(HEAD.replace(b"100", b"1000000") + b"x" * 100_000)
        await connection.stays_open(10 * BODY_S)

    in_virtual_time(never, scenario)
