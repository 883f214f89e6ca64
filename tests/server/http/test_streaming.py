"""Streams of events: backpressure from the reader, keep-alives, end after a disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from server.analysis.events import QUEUED_EVENTS, Done, Emit, Event, Progress, Stream
from server.http import streaming


def test_a_producer_is_never_far_ahead_of_its_reader() -> None:
    async def scenario() -> None:
        produced = 0

        async def produce(emit: Emit) -> None:
            nonlocal produced
            for number in range(100):
                await emit(Progress("objects", number, 100))
                produced += 1

        seen = []
        async with aclosing(Stream(produce).events()) as events:
            async for event in events:
                seen.append(event)
                for _ in range(20):
                    await asyncio.sleep(0)
                assert produced <= len(seen) + QUEUED_EVENTS + 1
        assert [event.frames_done for event in seen if isinstance(event, Progress)] == [*range(100)]

    asyncio.run(scenario())


def test_what_the_producer_raises_reaches_the_reader_after_its_events() -> None:
    async def scenario() -> None:
        async def produce(emit: Emit) -> None:
            await emit(Done("id"))
            raise LookupError

        seen = []

        async def read() -> None:
            async with aclosing(Stream(produce).events()) as events:
                async for event in events:
                    seen.append(event)  # noqa: PERF401

        with pytest.raises(LookupError):
            await read()
        assert seen == [Done("id")]

    asyncio.run(scenario())


def test_a_reader_that_leaves_ends_the_producer() -> None:
    async def scenario() -> None:
        ended = asyncio.Event()

        async def produce(emit: Emit) -> None:
            try:
                await emit(Done("id"))
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with aclosing(Stream(produce).events()) as events:
            async for _ in events:
                break
        assert ended.is_set()

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
