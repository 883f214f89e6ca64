"""One task of a running request: its batches in flight, and the fold of their results."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ipc.messages import ModelInfo, Subject
from server.analysis.events import Emit, Partial, Progress
from server.children.dispatcher import Dispatcher, Outcome, Route
from server.errors import Problem
from server.frame_pool.pool import Entry, Lease
from server.tasks.registry import AnyTask
from server.tasks.task import Options


@dataclass(eq=False)
class Job:
    """A task, its options, and the state of its fold; `problem` is set if it failed."""

    task: AnyTask
    options: Options
    route: Route
    model: ModelInfo
    emit: Emit
    state: Any = None
    devices: set[str] = field(default_factory=set)
    engine: str = ""
    frames_done: int = 0
    frames_total: int = 0
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    problem: Problem | None = None

    def __post_init__(self) -> None:
        self.state = self.task.start()

    async def attempt(self, work: Awaitable[None]) -> None:
        """Await a part of the job; store a Problem that it raises."""
        try:
            await work
        except Problem as problem:
            self.problem = self.problem or problem

    def add(self, outcome: Outcome, frames: int) -> None:
        """Fold in the next outcome, of `frames` frames, and emit its items."""
        self.devices.add(outcome.device)
        self.queue_ms += outcome.queue_ms
        self.inference_ms += outcome.inference_ms
        self.frames_done += frames
        for encoded in outcome.results:
            result = msgspec.msgpack.decode(encoded, type=self.task.result)
            if items := self.task.add(self.state, result):
                self.emit(Partial(self.task.name, items))
        self.emit(Progress(self.task.name, self.frames_done, self.frames_total))


class Batches:
    """The batches of one job in flight, oldest first; their results are folded in this order.

    A job has at most one batch more in flight than its workers can hold.
    """

    def __init__(self, job: Job, dispatcher: Dispatcher) -> None:
        self.job = job
        self.sent = 0
        self._dispatcher = dispatcher
        self._most = dispatcher.capacity(job.route) + 1
        self._pending: deque[tuple[int, asyncio.Task[Outcome]]] = deque()

    async def send(
        self, subject: Subject, frames: int, lease: Lease, entries: Sequence[Entry]
    ) -> None:
        """Send a batch of `frames` frames, whose slots are `entries` of `lease`.

        First wait for earlier results if the task needs them; afterwards wait while too many
        batches are in flight.
        """
        job = self.job
        while self._pending and job.task.waits(job.options, job.state):
            await self._take()
        if job.problem is not None:
            return
        self.sent += 1
        spec = job.task.task_spec(job.options, job.state)
        part = lease.part(entries)
        part.hold()
        task = asyncio.create_task(self._dispatcher.infer(job.route, spec, subject, part))
        task.add_done_callback(lambda _: part.release())
        self._pending.append((frames, task))
        while self._pending and (len(self._pending) >= self._most or self._pending[0][1].done()):
            await self._take()

    async def finish(self) -> None:
        """Wait for all batches."""
        while self._pending:
            await self._take()

    async def abandon(self) -> None:
        """Cancel all batches; a batch that a worker already has still runs to its end."""
        for _, task in self._pending:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._pending), return_exceptions=True)
        self._pending.clear()

    async def _take(self) -> None:
        frames, task = self._pending.popleft()
        try:
            outcome = await task
        except Problem as problem:
            self.job.problem = problem
            await self.abandon()
            return
        except asyncio.CancelledError:
            task.cancel()
            raise
        self.job.add(outcome, frames)
