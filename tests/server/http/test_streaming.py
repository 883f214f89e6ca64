"""Streams of events: backpressure from the reader, keep-alives, end after a disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from server.analysis.events import UNREAD_EVENTS, Done, Event, Progress, Stream
from server.http import streaming
from server.http.client_disconnect import read_within
from server.metrics import Metrics


def test_a_producer_that_waits_for_room_is_never_far_ahead_of_its_reader() -> None:
    async def scenario() -> None:
        stream = Stream()
        produced = 0

        async def produce() -> None:
            nonlocal produced
            for number in range(100):
                await stream.room()
                stream.emit(Progress("objects", number, 100))
                produced += 1

        seen = []
        async with aclosing(stream.events(produce())) as events:
            async for event in events:
                seen.append(event)
                for _ in range(20):
                    await asyncio.sleep(0)
                assert produced <= len(seen) + UNREAD_EVENTS
        assert [event.frames_done for event in seen if isinstance(event, Progress)] == [*range(100)]

    asyncio.run(scenario())


def test_what_is_emitted_waits_for_no_reader() -> None:
    """A request emits while it holds frames, which others may need."""

    async def scenario() -> None:
        stream = Stream()
        for number in range(100):
            stream.emit(Progress("objects", number, 100))
        waiting = asyncio.create_task(stream.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        async with aclosing(stream.events(asyncio.sleep(0))) as events:
            assert len([event async for event in events]) == 100
        await asyncio.wait_for(waiting, 5)

    asyncio.run(scenario())


def test_what_the_producer_raises_reaches_the_reader_after_its_events() -> None:
    async def scenario() -> None:
        stream = Stream()

        async def produce() -> None:
            stream.emit(Done("id"))
            raise LookupError

        seen = []

        async def read() -> None:
            async with aclosing(stream.events(produce())) as events:
                async for event in events:
                    seen.append(event)  # noqa: PERF401

        with pytest.raises(LookupError):
            await read()
        assert seen == [Done("id")]

    asyncio.run(scenario())


def test_a_reader_that_leaves_ends_the_producer() -> None:
    async def scenario() -> None:
        stream = Stream()
        ended = asyncio.Event()

        async def produce() -> None:
            try:
                stream.emit(Done("id"))
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with aclosing(stream.events(produce())) as events:
            async for _ in events:
                break
        assert ended.is_set()

    asyncio.run(scenario())


def test_a_client_that_reads_nothing_is_given_up() -> None:
    async def scenario() -> None:
        metrics = Metrics()

        async def never_read(message: Message) -> None:
            await asyncio.Event().wait()

        send = read_within(never_read, 0.01, metrics)
        with pytest.raises(ClientDisconnect):
            await send({"type": "http.response.body"})
        assert metrics.registry.get_sample_value("eioku_requests_cancelled_total") == 1

    asyncio.run(scenario())


def test_in_a_silence_the_last_progress_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.01)

    async def scenario() -> None:
        go_on = asyncio.Event()

        async def silent() -> AsyncGenerator[Event, None]:
            yield Progress("objects", 8, 40)
            await go_on.wait()
            yield Done("id")

        seen: list[Event] = []
        async with aclosing(streaming._kept_alive(silent())) as events:
            async for event in events:
                seen.append(event)
                if len(seen) == 3:
                    go_on.set()
        assert seen[:3] == [Progress("objects", 8, 40)] * 3
        assert seen[-1] == Done("id")

    asyncio.run(scenario())
