"""The events of a request: streams send them, and plain responses are built from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from server.errors import ProblemDocument

T = TypeVar("T")
QUEUED_EVENTS = 8


class Started(msgspec.Struct, frozen=True, tag_field="event", tag="started"):
    """The task has started; its model is loaded."""

    task: str


class Progress(msgspec.Struct, frozen=True, tag_field="event", tag="progress"):
    """How many of the frames that the task needs are analysed."""

    task: str
    frames_done: int
    frames_total: int


class Partial(msgspec.Struct, frozen=True, tag_field="event", tag="partial"):
    """The items of the next chunk; those of all chunks together are the items of the result."""

    task: str
    items: Sequence[Any]


class Result(msgspec.Struct, frozen=True, tag_field="event", tag="result"):
    """The complete response of a task, as without streaming."""

    task: str
    response: Any


class Error(msgspec.Struct, frozen=True, tag_field="event", tag="error"):
    """The task failed; the other tasks are unaffected."""

    task: str
    problem: ProblemDocument


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="error"):
    """The request failed as a whole; no event follows."""

    problem: ProblemDocument


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """The end of the stream; a stream without it was cut off."""

    run_id: str


Event = Started | Progress | Partial | Result | Error | Done
Emit = Callable[[Event], Awaitable[None]]


class Stream(Generic[T]):
    """Runs a producer of events concurrently with its consumer, with a short queue between them.

    So a slow reader delays only its own request.
    """

    def __init__(
        self, produce: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        self._produce = produce
        self._queue: asyncio.Queue[T | None] = asyncio.Queue(QUEUED_EVENTS)

    async def events(self) -> AsyncGenerator[T, None]:
        """Yield the events; raises what the producer raises. Closing it cancels the producer."""
        task = asyncio.create_task(self._run())
        try:
            while (event := await self._queue.get()) is not None:
                yield event
            await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        try:
            await self._produce(self._queue.put)
        finally:
            await self._queue.put(None)
