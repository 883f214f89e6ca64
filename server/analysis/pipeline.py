"""Sends frames and audio to the workers; decodes the next window during inference."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.messages import MediaRange, VideoInfo
from ipc.subjects import FrameRef, Frames
from server.analysis.audio_plan import AudioPlan
from server.analysis.decode_windows import Sized, windows
from server.analysis.events import Stream
from server.analysis.job import Batches, Job
from server.analysis.media_source import MediaSource
from server.analysis.planner import Chunk, FramePlan
from server.children.dispatcher import Dispatcher
from server.errors import Problem
from server.frame_pool.pool import Entry, Lease


class Pipeline:
    """Sends the frames and the audio of one source to the workers."""

    def __init__(self, source: MediaSource, dispatcher: Dispatcher, stream: Stream) -> None:
        self._source = source
        self._dispatcher = dispatcher
        self._stream = stream

    async def frames(self, planned: Sequence[tuple[Job, FramePlan]]) -> None:
        """Analyse the chunks of every plan in one pass over the video.

        If a job fails, its `problem` is set, and no more of its chunks are sent. Raises Problem
        if the video cannot be decoded.
        """
        plans = [plan for _, plan in planned]
        running = [Batches(job, self._dispatcher) for job, _ in planned]
        for batches, plan in zip(running, plans, strict=True):
            batches.job.frames_total = len(plan.indices)
        try:
            for window in windows(plans):
                if all(batches.job.problem for batches in running):
                    break
                await self._stream.room()
                async with self._source.frames(window) as (lease, entries):
                    for i, chunk in window.chunks:
                        await _send_chunk(running[i], chunk, _held(entries, chunk, plans[i]), lease)
            for batches in running:
                await batches.finish()
        finally:
            for batches in running:
                await batches.abandon()
        for batches, plan in zip(running, plans, strict=True):
            _check_decoded(batches, plan)
            batches.job.engine, batches.job.decode_ms = self._source.engine, self._source.decode_ms

    async def audio(self, job: Job, plan: AudioPlan) -> None:
        """Send the steps that the job's task asks for; a worker's Problem is stored in the job.

        Sections stay leased from step to step; they are released before others are requested.
        Raises Problem if the audio cannot be decoded.
        """
        batches = Batches(job, self._dispatcher)
        try:
            step = await batches.next_audio(plan.samples)
            while step is not None:
                await self._stream.room()
                sections = plan.sections(step.stretches)
                async with self._source.audio(sections) as (lease, decoded):
                    while step is not None and plan.sections(step.stretches) == sections:
                        batches.send_audio(step, plan.cut(step.stretches, decoded), lease)
                        step = await batches.next_audio(plan.samples)
        finally:
            await batches.abandon()
        job.engine, job.decode_ms = self._source.engine, self._source.decode_ms

    async def finish(self, job: Job, video: VideoInfo, span: MediaRange) -> None:
        """Send the data gathered by the job's fold, if its task requires it; raises Problem."""
        gathered = job.task.finish(job.state, video, span)
        if gathered is not None:
            await job.send_gathered(gathered, self._dispatcher)


async def _send_chunk(
    batches: Batches, chunk: Chunk, entries: Sequence[Entry], lease: Lease
) -> None:
    """Send the decoded frames of a chunk, unless all of them are for comparison only."""
    decoded = [entry.content for entry in entries if isinstance(entry.content, FrameRef)]
    compared = chunk.indices[: chunk.context]
    context = sum(ref.frame_index in compared for ref in decoded)
    if len(decoded) > context:
        subject = Frames(tuple(decoded), context)
        await batches.send(subject, len(decoded) - context, lease, entries)


def _held(entries: dict[Sized, Entry], chunk: Chunk, plan: FramePlan) -> list[Entry]:
    return [entries[index, plan.height, plan.width] for index in chunk.indices]


def _check_decoded(batches: Batches, plan: FramePlan) -> None:
    """Fail the job if not one of its frames could be decoded."""
    job = batches.job
    if len(plan.indices) > 0 and batches.sent == 0 and job.problem is None:
        job.problem = Problem("undecodable_video", "None of the requested frames can be decoded.")
