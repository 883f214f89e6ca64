"""The events of a request: streams send them, and plain responses are built from them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from server.errors import ProblemDocument

UNREAD_EVENTS = 8


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
Emit = Callable[[Event], None]


class Stream:
    """Events on their way from a request to its reader.

    `emit` never waits, so that a request waits for its reader only where it chooses to: in `room`,
    which is called while no frames are leased. A slow reader delays its own request alone.

    `validator` is that of the response (see `server.analysis.validators`), None if it is not known
    yet, or if a task has failed.
    """

    def __init__(self) -> None:
        self.validator: str | None = None
        self._unread: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def emit(self, event: Event) -> None:
        """Add an event."""
        self._unread.append(event)
        self._changed.set()
        if len(self._unread) >= UNREAD_EVENTS:
            self._room.clear()

    async def room(self) -> None:
        """Wait until fewer than `UNREAD_EVENTS` events are unread."""
        await self._room.wait()

    async def events(self, produce: Awaitable[None]) -> AsyncGenerator[Event, None]:
        """Run `produce`, and yield what it emits; raises what it raises.

        Closing it cancels `produce`.
        """
        producing = asyncio.ensure_future(produce)
        producing.add_done_callback(lambda _: self._changed.set())
        try:
            while True:
                while self._unread:
                    event = self._unread.popleft()
                    if len(self._unread) < UNREAD_EVENTS:
                        self._room.set()
                    yield event
                if producing.done():
                    await producing
                    return
                self._changed.clear()
                await self._changed.wait()
        finally:
            producing.cancel()
            await asyncio.gather(producing, return_exceptions=True)
