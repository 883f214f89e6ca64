"""One task of a running request: its batches in flight, and the fold of their results."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ipc.messages import ModelInfo, TaskSpec
from ipc.subjects import Audio, Gathered, Subject
from server.analysis.events import Emit, Partial, Progress
from server.children.dispatcher import Dispatcher, Outcome, Route
from server.errors import Problem
from server.frame_pool.pool import Entry, Lease
from server.tasks.registry import AnyTask
from server.tasks.task import AudioStep, Options


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

    async def send_gathered(self, gathered: Any, dispatcher: Dispatcher) -> None:
        """Send data that the fold gathered, and fold in the result; raises Problem."""
        subject = Gathered(msgspec.Raw(msgspec.msgpack.encode(gathered)))
        spec = self.task.task_spec(self.options, self.state)
        self.add(await dispatcher.infer(self.route, spec, subject), 0)


class Batches:
    """The batches of one job in flight, oldest first; their results are folded in this order.

    A job has at most one batch of frames more in flight than its workers can hold. Batches of audio
    take longer: it has one per worker, so that other requests wait for one at most.
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
        while self._pending and self._waits:
            await self._take()
        if job.problem is not None:
            return
        spec = job.task.task_spec(job.options, job.state)
        self._start(spec, subject, frames, lease.part(entries))
        while self._pending and (len(self._pending) >= self._most or self._pending[0][1].done()):
            await self._take()

    async def next_audio(self, samples: int) -> AudioStep | None:
        """The next step of a task that needs audio, as soon as it may be sent; None at the end."""
        job, most = self.job, len(self.job.route.workers)
        while job.problem is None:
            if len(self._pending) < most and not (self._pending and self._waits):
                step = job.task.next_audio(job.options, job.state, samples, self.sent)
                if step is not None or not self._pending:
                    return step
            await self._take()
        return None

    def send_audio(self, step: AudioStep, subject: Audio, lease: Lease) -> None:
        """Send a step, whose audio is in the slots of `lease`."""
        spec = self.job.task.encoded(self.job.options, step.spec)
        self._start(spec, subject, 0, lease.part(lease.entries))

    def _start(self, spec: TaskSpec, subject: Subject, frames: int, part: Lease) -> None:
        self.sent += 1
        part.hold()
        task = asyncio.create_task(self._dispatcher.infer(self.job.route, spec, subject, part))
        task.add_done_callback(lambda _: part.release())
        self._pending.append((frames, task))

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

    @property
    def _waits(self) -> bool:
        return self.job.task.waits(self.job.options, self.job.state)

    async def _take(self) -> None:
        frames, task = self._pending.popleft()
        try:
            self.job.add(await task, frames)
            if (gathered := self.job.task.follow_up(self.job.state)) is not None:
                await self.job.send_gathered(gathered, self._dispatcher)
        except Problem as problem:
            self.job.problem = problem
            await self.abandon()
        except asyncio.CancelledError:
            task.cancel()
            raise
