"""From frames to results: decode a window while the chunks before it are being analysed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from ipc.messages import Audio, FrameRef, Frames, MediaRange, ModelInfo, Timeline, VideoInfo
from ipc.results import Changes, Result, Transcript
from ipc.specs import TranscribeSpec
from server.analysis.decode_windows import Sized, windows
from server.analysis.frame_source import Source
from server.analysis.planner import AudioWindow, Chunk, FramePlan
from server.children.dispatcher import Dispatcher, Outcome, Route
from server.errors import Problem
from server.frame_pool.pool import Entry, Lease

Tell = Callable[["Job"], Awaitable[None]]


@dataclass(eq=False)
class Job:
    """One task of a request: what it is to do, and what its chunks gave so far, in order."""

    task: str
    route: Route
    model: ModelInfo
    tell: Tell
    results: list[Result] = field(default_factory=list)
    devices: set[str] = field(default_factory=set)
    frame_times_ms: list[float] = field(default_factory=list)
    frames_done: int = 0
    frames_total: int = 0
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    problem: Problem | None = None

    async def add(self, outcome: Outcome, frames: int) -> None:
        """Take in the result of the next chunk, and tell of it."""
        self.results.append(outcome.result)
        self.devices.add(outcome.device)
        self.queue_ms += outcome.queue_ms
        self.inference_ms += outcome.inference_ms
        self.frames_done += frames
        await self.tell(self)


class Pipeline:
    """Moves frames, or windows of sound, of one source through the workers."""

    def __init__(self, source: Source, dispatcher: Dispatcher) -> None:
        self._source = source
        self._dispatcher = dispatcher

    async def frames(self, jobs: Sequence[tuple[Job, FramePlan]]) -> None:
        """Analyse the chunks of every plan in one pass over the video.

        A job that fails has its `problem` set and is left out from then on. Raises Problem where
        the video cannot be decoded.
        """
        plans = [plan for _, plan in jobs]
        runs = [_Run(self._dispatcher, job) for job, _ in jobs]
        engine = "decord" if all(plan.sparse for plan in plans) else "pyav"
        for run, plan in zip(runs, plans, strict=True):
            run.job.frames_total = len(plan.indices)
        try:
            for window in windows(plans):
                if all(run.job.problem for run in runs):
                    break
                async with self._source.frames(window, engine) as (lease, entries):
                    for i, chunk in window.chunks:
                        held = _entries(entries, chunk, plans[i])
                        await runs[i].start(chunk, held, lease)
            for run in runs:
                await run.finish()
        finally:
            for run in runs:
                await run.abandon()
        for run in runs:
            run.check()

    async def scenes(self, job: Job, video: VideoInfo, span: MediaRange) -> None:
        """Turn the changes that `frames` found into the scenes between them."""
        changes = [result for result in job.results if isinstance(result, Changes)]
        timeline = Timeline(
            timestamps_ms=job.frame_times_ms,
            changes_ms=[time_ms for change in changes for time_ms in change.timestamps_ms],
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            fps=video.fps,
        )
        job.results = []
        await job.add(await self._dispatcher.infer(job.route, timeline), 0)

    async def audio(self, job: Job, wanted: Sequence[AudioWindow]) -> None:
        """Transcribe window after window, in the language that the first was found to be in."""
        assert isinstance(job.route.spec, TranscribeSpec)
        route, spec = job.route, job.route.spec
        for window in wanted:
            async with self._source.sound(window) as (lease, ref):
                outcome = await self._dispatcher.infer(route, Audio(ref), lease)
            await job.add(outcome, 0)
            assert isinstance(outcome.result, Transcript)
            if spec.language is None and outcome.result.language is not None:
                spec = msgspec.structs.replace(spec, language=outcome.result.language)
                route = Route(spec, route.workers, route.timeout_s)


def _entries(entries: dict[Sized, Entry], chunk: Chunk, plan: FramePlan) -> list[Entry]:
    return [entries[index, plan.height, plan.width] for index in chunk.indices]


class _Run:
    """The batches of one job that are on their way, oldest first."""

    def __init__(self, dispatcher: Dispatcher, job: Job) -> None:
        self.job = job
        self._dispatcher = dispatcher
        self._most = dispatcher.capacity(job.route) + 1
        self._pending: deque[tuple[int, asyncio.Task[Outcome]]] = deque()
        self._wanted = False

    async def start(self, chunk: Chunk, entries: Sequence[Entry], lease: Lease) -> None:
        """Send a batch on its way; then wait until few enough of this job's are."""
        self._wanted = True
        if self.job.problem is not None:
            return
        there = [e.content for e in entries if isinstance(e.content, FrameRef)]
        known = chunk.indices[: chunk.context]
        context = sum(ref.frame_index in known for ref in there)
        self.job.frame_times_ms += [ref.timestamp_ms for ref in there[context:]]
        if len(there) == context:
            return
        part = lease.part(entries)
        part.hold()
        subject = Frames(tuple(there), context)
        task = asyncio.create_task(self._dispatcher.infer(self.job.route, subject, part))
        task.add_done_callback(lambda _: part.release())
        self._pending.append((len(there) - context, task))
        while self._pending and (len(self._pending) >= self._most or self._pending[0][1].done()):
            await self._take()

    async def finish(self) -> None:
        """Wait for every batch."""
        while self._pending:
            await self._take()

    async def abandon(self) -> None:
        """Stop waiting; what a worker already has, it may finish."""
        for _, task in self._pending:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._pending), return_exceptions=True)
        self._pending.clear()

    def check(self) -> None:
        """Not one frame of those wanted: that is a failure of the file."""
        if self._wanted and not self.job.results and self.job.problem is None:
            self.job.problem = Problem(
                "undecodable_video", "Not one of the wanted frames can be decoded."
            )

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
        await self.job.add(outcome, frames)
