"""Streams events as NDJSON, one line of JSON per event, or as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from server.analysis.events import Event, Failed, Progress, Started
from server.errors import Problem
from server.http.client_disconnect import until_hangup
from server.http.rendering import problem_response
from server.metrics import Metrics

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
KEEP_ALIVE_S = 10.0


class EventStream:
    """Sends events as soon as they occur.

    A request that fails before its first event gets an error status, as without streaming; one
    that fails later ends with an error event. If no event occurs for `KEEP_ALIVE_S`, the last
    progress is repeated as a keep-alive, so that no proxy closes the connection.
    """

    def __init__(self, events: AsyncGenerator[Event, None], form: str, metrics: Metrics) -> None:
        self._events = events
        self._form = form
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):  # the client is gone
            await until_hangup(receive, self._send_all(scope, receive, send), self._metrics)

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        try:
            async with aclosing(self._events), aclosing(_kept_alive(self._events)) as events:
                async for event in events:
                    if not begun:
                        await send(self._start())
                        begun = True
                    await self._send_event(send, event)
        except Problem as problem:
            self._metrics.rejected.labels(problem.code).inc()
            if not begun:
                await problem_response(problem)(scope, receive, send)
                return
            await self._send_event(send, Failed(problem.document()))
        except OSError as error:
            raise ClientDisconnect from error
        await send({"type": "http.response.body", "body": b""})

    def _start(self) -> dict[str, object]:
        headers = [(b"content-type", self._form.encode()), (b"cache-control", b"no-cache")]
        return {"type": "http.response.start", "status": 200, "headers": headers}

    async def _send_event(self, send: Send, event: Event | Failed) -> None:
        encoded = msgspec.json.encode(event)
        if self._form == SSE:
            name = str(event.__struct_config__.tag).encode()
            encoded = b"event: " + name + b"\ndata: " + encoded + b"\n"
        await send({"type": "http.response.body", "body": encoded + b"\n", "more_body": True})


async def _kept_alive(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events, with the last progress repeated after each `KEEP_ALIVE_S` without events."""
    last: Event | None = None
    while True:
        following = asyncio.ensure_future(anext(events, None))
        try:
            while not (await asyncio.wait({following}, timeout=KEEP_ALIVE_S))[0]:
                if last is not None:
                    yield last
            event = await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if event is None:
            return
        if isinstance(event, Started | Progress):
            last = event
        yield event
