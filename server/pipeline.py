"""From frames to results: decode a chunk while the chunks before it are being analysed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ipc.messages import (
    Audio,
    Frames,
    MediaRange,
    ScenesSpec,
    Target,
    Timeline,
    TranscribeSpec,
    VideoInfo,
)
from ipc.results import Changes, Result, Transcript
from server.decoders import Decoders
from server.dispatcher import Dispatcher, Outcome, Route
from server.errors import Problem
from server.planner import SAMPLE_BYTES, AudioWindow, Chunk, FramePlan
from server.pool import FramePool, Lease


@dataclass
class Findings:
    """What the chunks of one request gave so far, in order, and what they cost."""

    results: list[Result] = field(default_factory=list)
    devices: set[str] = field(default_factory=set)
    engine: str = ""
    frame_times_ms: list[float] = field(default_factory=list)
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Take in the result of the next chunk."""
        self.results.append(outcome.result)
        self.devices.add(outcome.device)
        self.queue_ms += outcome.queue_ms
        self.inference_ms += outcome.inference_ms


class Pipeline:
    """Moves chunks of frames, or windows of sound, through decoders and workers."""

    def __init__(self, pool: FramePool, decoders: Decoders, dispatcher: Dispatcher) -> None:
        self._pool = pool
        self._decoders = decoders
        self._dispatcher = dispatcher

    async def frames(self, path: str, plan: FramePlan, route: Route) -> Findings:
        """Analyse every chunk of `plan`.

        Raises Problem where a decoder or a worker does, or where no frame can be decoded.
        """
        run = _Run(self._dispatcher, route)
        try:
            for chunk in plan.chunks():
                with await self._pool.lease([plan.frame_bytes] * len(chunk.indices)) as lease:
                    frames = await self._decode(path, plan, chunk, lease, run.findings)
                    if len(frames.refs) > frames.context:
                        await run.start(frames, lease)
            await run.finish()
        finally:
            await run.abandon()
        if plan.indices and not run.findings.results:
            raise Problem("undecodable_video", "Not one of the wanted frames can be decoded.")
        return run.findings

    async def scenes(
        self, path: str, plan: FramePlan, route: Route, video: VideoInfo, span: MediaRange
    ) -> Findings:
        """Find the changes chunk by chunk, then the scenes that lie between them."""
        findings = await self.frames(path, plan, route)
        assert isinstance(route.spec, ScenesSpec)
        changes = [result for result in findings.results if isinstance(result, Changes)]
        timeline = Timeline(
            timestamps_ms=findings.frame_times_ms,
            changes_ms=[time_ms for change in changes for time_ms in change.timestamps_ms],
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            fps=video.fps,
        )
        findings.results = []
        findings.add(await self._dispatcher.infer(route, timeline))
        return findings

    async def audio(self, path: str, windows: Sequence[AudioWindow], route: Route) -> Findings:
        """Transcribe window after window, in the language that the first was found to be in."""
        findings = Findings(engine="pyav")
        for window in windows:
            with await self._pool.lease([window.capacity * SAMPLE_BYTES]) as lease:
                decoded = await self._decoders.decode_audio(
                    path, window.start_ms, window.end_ms, window.capacity, lease
                )
                findings.decode_ms += decoded.decode_ms
                outcome = await self._dispatcher.infer(route, Audio(decoded.ref), lease)
            findings.add(outcome)
            assert isinstance(outcome.result, Transcript)
            assert isinstance(route.spec, TranscribeSpec)
            if route.spec.language is None and outcome.result.language is not None:
                spec = msgspec.structs.replace(route.spec, language=outcome.result.language)
                route = Route(spec, route.workers, route.timeout_s)
        return findings

    async def _decode(
        self, path: str, plan: FramePlan, chunk: Chunk, lease: Lease, findings: Findings
    ) -> Frames:
        targets = [
            Target(frame_index, slot.offset, plan.height, plan.width)
            for frame_index, slot in zip(chunk.indices, lease.slots, strict=True)
        ]
        decoded = await self._decoders.decode(path, plan.engine, targets, lease)
        known = chunk.indices[: chunk.context]
        context = sum(ref.frame_index in known for ref in decoded.frames)
        findings.engine = decoded.engine
        findings.decode_ms += decoded.decode_ms
        findings.frame_times_ms += [ref.timestamp_ms for ref in decoded.frames[context:]]
        return Frames(decoded.frames, context)


class _Run:
    """The batches of one request that are on their way, oldest first."""

    def __init__(self, dispatcher: Dispatcher, route: Route) -> None:
        self.findings = Findings()
        self._dispatcher = dispatcher
        self._route = route
        self._most = dispatcher.capacity(route) + 1
        self._pending: deque[asyncio.Task[Outcome]] = deque()

    async def start(self, frames: Frames, lease: Lease) -> None:
        """Send a batch on its way; then wait until few enough of this request's are."""
        lease.hold()
        task = asyncio.create_task(self._dispatcher.infer(self._route, frames, lease))
        task.add_done_callback(lambda _: lease.release())
        self._pending.append(task)
        while self._pending and (len(self._pending) >= self._most or self._pending[0].done()):
            self.findings.add(await self._pending.popleft())

    async def finish(self) -> None:
        """Wait for every batch."""
        while self._pending:
            self.findings.add(await self._pending.popleft())

    async def abandon(self) -> None:
        """Stop waiting; what a worker already has, it may finish."""
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)
