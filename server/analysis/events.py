"""What happens while a request is answered, as streams tell it; a plain answer is made from it."""

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
    """The task is being worked on."""

    task: str


class Progress(msgspec.Struct, frozen=True, tag_field="event", tag="progress"):
    """How many of the frames that the task wants are analysed."""

    task: str
    frames_done: int
    frames_total: int


class Partial(msgspec.Struct, frozen=True, tag_field="event", tag="partial"):
    """The items of the next chunk: all of a task's, put together, are its result's."""

    task: str
    items: Sequence[Any]


class Result(msgspec.Struct, frozen=True, tag_field="event", tag="result"):
    """The whole answer of a task, as a plain call gets it."""

    task: str
    response: Any


class Error(msgspec.Struct, frozen=True, tag_field="event", tag="error"):
    """The task failed; the others go on."""

    task: str
    problem: ProblemDocument


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="error"):
    """The request failed as a whole, and this is the last that is heard of it."""

    problem: ProblemDocument


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """The end; without it, the stream was cut off."""

    run_id: str


Event = Started | Progress | Partial | Result | Error | Done
Emit = Callable[[Event], Awaitable[None]]


class Stream(Generic[T]):
    """Runs a producer of events beside its consumer, never far ahead of it.

    So a slow reader holds back its own request, and nobody else's.
    """

    def __init__(
        self, produce: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        self._produce = produce
        self._queue: asyncio.Queue[T | None] = asyncio.Queue(QUEUED_EVENTS)

    async def events(self) -> AsyncGenerator[T, None]:
        """The events; raises what the producer raises. Closing it cancels the producer."""
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
