"""Runs one request: plans its tasks together, runs them in one pass, emits events."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Sequence
from typing import Any

from ipc.messages import ModelInfo
from server.analysis import events
from server.analysis.audio_plan import plan_audio
from server.analysis.events import Stream
from server.analysis.hashes import InputHashes
from server.analysis.job import Job
from server.analysis.media_source import MediaSource
from server.analysis.pipeline import Pipeline
from server.analysis.planner import FramePlan, plan_frames
from server.analysis.request import Request
from server.analysis.response_builder import ResponseBuilder
from server.analysis.validators import validator
from server.children.child_specs import eligible_workers
from server.children.decoder_client import DecoderClient
from server.children.dispatcher import Dispatcher, Route
from server.errors import NotModified, Problem
from server.frame_pool.pool import FramePool
from server.settings import Settings
from server.tasks.registry import installed
from server.tasks.task import AudioInput, FrameInput


class Analysis:
    """Runs one request; reports everything through `emit`."""

    def __init__(
        self,
        request: Request,
        settings: Settings,
        pool: FramePool,
        decoders: DecoderClient,
        dispatcher: Dispatcher,
        hashes: InputHashes,
    ) -> None:
        self.run_id = str(uuid.uuid4())
        self._request = request
        self._settings = settings
        self._pool = pool
        self._decoders = decoders
        self._dispatcher = dispatcher
        self._hashes = hashes
        self._started = time.perf_counter()

    async def run(self, stream: Stream) -> None:
        """Run all tasks; raises Problem if the request fails as a whole.

        Raises NotModified if the client has the response already.
        """
        self._stream = stream
        self._emit = stream.emit
        file, video = self._request.file, self._request.video
        await self._hashes.settle(file)
        if self._request.held:
            await self._check_held()
        digest, (probed, *models) = await _settled(
            self._hashes.of(file, video.input_hash),
            self._decoders.probe(file, video.start_ms, video.end_ms),
            *(self._load(task) for task in self._request.tasks),
        )
        stream.validator = self._validator(digest, models)
        for task, problem in self._request.refused.items():
            self._emit(events.Error(task, problem.document()))
        jobs = self._jobs(models)
        if not jobs:
            return self._done()
        if isinstance(probed, Problem):
            raise probed
        self._digest, self._probed = digest, probed
        self._responses = ResponseBuilder(self.run_id, video, digest, probed.video, self._started)
        await _together([self._on_frames(jobs), *(self._on_audio(job) for job in jobs)])
        return self._done()

    async def _check_held(self) -> None:
        """Raise NotModified if the client has the response; the video is not even indexed."""
        digest, models = await _settled(
            self._hashes.of(self._request.file, self._request.video.input_hash),
            *(self._load(task) for task in self._request.tasks),
        )
        current = self._validator(digest, models)
        if current is not None and current in self._request.held:
            raise NotModified(self._request.held[current])

    def _validator(self, digest: str, models: Sequence[ModelInfo | Problem]) -> str | None:
        """That of the whole response; None if a task has failed: it may succeed the next time."""
        loaded = {
            task: model
            for task, model in zip(self._request.tasks, models, strict=True)
            if isinstance(model, ModelInfo)
        }
        if self._request.refused or len(loaded) < len(models):
            return None
        return validator(self._request, digest, loaded)

    def _route(self, task: str) -> Route:
        runs_on = installed()[task].runs_on(self._request.tasks[task])
        workers = eligible_workers(runs_on, self._settings)
        return Route(workers, self._settings.request_timeout_s)

    def _load(self, name: str) -> Awaitable[ModelInfo]:
        task, options = installed()[name], self._request.tasks[name]
        return self._dispatcher.load(self._route(name), task.task_spec(options, task.start()))

    def _jobs(self, models: Sequence[ModelInfo | Problem]) -> list[Job]:
        """Create a job for each task whose model is loaded; emit an error for the others."""
        jobs = []
        for (name, options), model in zip(self._request.tasks.items(), models, strict=True):
            if isinstance(model, Problem):
                self._emit(events.Error(name, model.document()))
            else:
                self._emit(events.Started(name))
                route = self._route(name)
                jobs.append(Job(installed()[name], options, route, model, self._emit))
        return jobs

    async def _on_frames(self, jobs: Sequence[Job]) -> None:
        """Run the tasks that need frames, in one pass."""
        pipeline = self._pipeline()
        planned: list[tuple[Job, FramePlan]] = []
        for job in jobs:
            needs = job.task.needs(job.options)
            if isinstance(needs, FrameInput):
                try:
                    planned.append((job, self._plan(needs)))
                except Problem as problem:
                    self._emit(events.Error(job.task.name, problem.document()))
        if not planned:
            return
        try:
            await pipeline.frames(planned)
        except Problem as problem:
            for job, _ in planned:
                job.problem = job.problem or problem
        for job, _ in planned:
            await self._finish(job, pipeline)

    async def _on_audio(self, job: Job) -> None:
        """Run the job if its task needs audio."""
        if isinstance(job.task.needs(job.options), AudioInput):
            pipeline = self._pipeline()
            await job.attempt(self._analyse_audio(job, pipeline))
            await self._finish(job, pipeline)

    async def _analyse_audio(self, job: Job, pipeline: Pipeline) -> None:
        await pipeline.audio(job, plan_audio(self._probed.range, self._settings))

    def _pipeline(self) -> Pipeline:
        source = MediaSource(
            self._request.file,
            self._digest,
            self._probed.longest_lead_in,
            self._pool,
            self._decoders,
        )
        return Pipeline(source, self._dispatcher, self._stream)

    def _plan(self, needs: FrameInput) -> FramePlan:
        return plan_frames(needs, self._probed.video, self._probed.range, self._settings)

    async def _finish(self, job: Job, pipeline: Pipeline) -> None:
        """End the job's fold, and emit its result or its problem."""
        if job.problem is None:
            await job.attempt(pipeline.finish(job, self._probed.video, self._probed.range))
        if job.problem is not None:
            self._emit(events.Error(job.task.name, job.problem.document()))
        else:
            self._emit(events.Result(job.task.name, self._responses.build(job)))

    def _done(self) -> None:
        self._emit(events.Done(self.run_id))


async def _settled(digest: Awaitable[str], *others: Awaitable[Any]) -> tuple[str, list[Any]]:
    """Await all concurrently; raises the Problem of the digest.

    The problems of the others are returned, so the reported problem does not depend on timing.
    """
    tasks = [asyncio.ensure_future(waited) for waited in (digest, *others)]
    try:
        outcomes: list[Any] = [await tasks[0]]
        outcomes += [await _problem_or(task) for task in tasks[1:]]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes[0], outcomes[1:]


async def _problem_or(task: asyncio.Future[Any]) -> Any:
    try:
        return await task
    except Problem as problem:
        return problem


async def _together(work: Sequence[Awaitable[None]]) -> None:
    """Await all concurrently; if one fails, cancel the others."""
    tasks = [asyncio.ensure_future(waited) for waited in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
