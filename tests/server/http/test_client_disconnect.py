"""Requests end with their client, also at the moment at which something was sent to it."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from server.http.client_disconnect import read_within, until_hangup
from server.metrics import Metrics

MOST_SENDS = 50  # of a request that does not notice its end
DEADLINE_S = 10


def test_a_client_that_hangs_up_while_it_is_sent_something() -> None:
    """The end of `send` and the hang-up are noticed in the same turn of the event loop."""
    sent: list[Message] = []

    async def main() -> None:
        both = asyncio.Event()

        async def send(message: Message) -> None:
            sent.append(message)
            await (both.wait() if len(sent) == 1 else asyncio.sleep(0))

        async def receive() -> Message:
            await both.wait()
            return {"type": "http.disconnect"}

        async def respond() -> None:
            send_read = read_within(send, DEADLINE_S, metrics)
            for _ in range(MOST_SENDS):
                await send_read({"type": "http.response.body"})

        metrics = Metrics()
        asyncio.get_running_loop().call_soon(both.set)
        with pytest.raises(ClientDisconnect):
            await until_hangup(receive, respond(), metrics)

    asyncio.run(main())
    assert len(sent) < MOST_SENDS


def test_a_client_that_reads_nothing() -> None:
    async def main() -> None:
        async def send(message: Message) -> None:
            await asyncio.Event().wait()

        with pytest.raises(ClientDisconnect):
            await read_within(send, 0.01, Metrics())({"type": "http.response.body"})

    asyncio.run(main())
