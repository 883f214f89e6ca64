"""Cancels and counts requests whose client disconnects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Send

from server.metrics import Metrics

T = TypeVar("T")

log = logging.getLogger(__name__)


async def until_hangup(receive: Receive, work: Awaitable[T], metrics: Metrics) -> T:
    """Await `work` while the client is connected; the request's body must have been read.

    Raises ClientDisconnect if the client disconnects, after `work` is cancelled and has ended.
    """
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            metrics.cancelled.inc()
            raise ClientDisconnect
        return await working
    finally:
        for task in (working, listening):
            task.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def read_within(send: Send, stall_s: float, metrics: Metrics) -> Send:
    """`send` for a client that must read: raises ClientDisconnect if it reads nothing for so long.

    What a client does not read stays in buffers of this process, and the request holds its place.
    """

    async def send_read(message: Message) -> None:
        try:
            # asyncio.wait_for ignores a cancellation at the end of `send` before Python 3.12.
            with anyio.fail_after(stall_s):
                await send(message)
        except TimeoutError:
            log.warning("stream not read", extra={"stall_s": stall_s})
            metrics.cancelled.inc()
            raise ClientDisconnect from None

    return send_read
