"""One request: its tasks planned together, run in one pass, and told of as they go."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipc.messages import ModelInfo, Probed
from server.analysis import events, responses
from server.analysis.events import Emit
from server.analysis.frame_source import Source
from server.analysis.hashes import InputHashes, config_hash
from server.analysis.pipeline import Job, Pipeline
from server.analysis.planner import FramePlan, plan_audio, plan_frames
from server.analysis.responses import Provenance, Response, Timings
from server.children import child_specs
from server.children.decoder_client import Decoders
from server.children.dispatcher import Dispatcher, Route
from server.errors import Problem
from server.frame_pool.pool import FramePool
from server.http.request_parsing import Options, Video
from server.settings import Settings

HUNG_AFTER_S = 30.0


@dataclass(frozen=True)
class Request:
    """What a client asks of one file: `path` is the file, wherever `video` said that it is.

    `refused` are tasks of the request whose fields are not valid.
    """

    path: str
    video: Video
    tasks: Mapping[str, Options]
    refused: Mapping[str, Problem]
    timeout_s: float


class Analysis:
    """Answers one request; everything it learns goes out through `emit`."""

    def __init__(
        self,
        request: Request,
        settings: Settings,
        pool: FramePool,
        decoders: Decoders,
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

    async def run(self, emit: Emit) -> None:
        """Do it all; raises Problem where the request fails as a whole."""
        self._emit = emit
        video = self._request.video
        digest, probed, models = await _settled(
            self._hashes.of(self._request.path, video.input_hash),
            self._decoders.probe(self._request.path, video.start_ms, video.end_ms),
            [self._dispatcher.load(self._route(task)) for task in self._request.tasks],
        )
        for task, problem in self._request.refused.items():
            await emit(events.Error(task, problem.document()))
        jobs = await self._jobs(models)
        if not jobs:
            return await self._done()
        if isinstance(probed, Problem):
            raise probed
        self._digest, self._probed = digest, probed
        self._source = Source(self._request.path, digest, self._pool, self._decoders)
        await _together([self._look(jobs), self._listen(jobs)])
        return await self._done()

    def _route(self, task: str) -> Route:
        options = self._request.tasks[task]
        return Route(
            options.spec(self._settings),
            child_specs.workers_for(task, options, self._settings),
            self._request.timeout_s + HUNG_AFTER_S,
        )

    async def _jobs(self, models: Sequence[ModelInfo | Problem]) -> list[Job]:
        """A job for each task whose model is there."""
        jobs = []
        for task, model in zip(self._request.tasks, models, strict=True):
            if isinstance(model, Problem):
                await self._emit(events.Error(task, model.document()))
            else:
                await self._emit(events.Started(task))
                jobs.append(Job(task, self._route(task), model, self._tell))
        return jobs

    async def _look(self, jobs: Sequence[Job]) -> None:
        """The tasks that want frames, in one pass."""
        pipeline = Pipeline(self._source, self._dispatcher)
        looking: list[tuple[Job, FramePlan]] = []
        for job in jobs:
            if job.task != "transcribe":
                try:
                    looking.append((job, self._plan(job.task)))
                except Problem as problem:
                    await self._emit(events.Error(job.task, problem.document()))
        try:
            if looking:
                await pipeline.frames(looking)
        except Problem as problem:
            for job, _ in looking:
                job.problem = job.problem or problem
        for job, _ in looking:
            if job.task == "scenes" and job.problem is None:
                await self._attempt(
                    job, pipeline.scenes(job, self._probed.video, self._probed.range)
                )
            await self._finish(job)

    async def _listen(self, jobs: Sequence[Job]) -> None:
        """The task that wants sound."""
        for job in jobs:
            if job.task == "transcribe":
                await self._attempt(job, self._transcribe(job))
                await self._finish(job)

    async def _transcribe(self, job: Job) -> None:
        source = Source(self._request.path, self._digest, self._pool, self._decoders)
        windows = plan_audio(self._probed.range, self._settings)
        await Pipeline(source, self._dispatcher).audio(job, windows)

    async def _attempt(self, job: Job, work: Awaitable[None]) -> None:
        try:
            await work
        except Problem as problem:
            job.problem = problem

    def _plan(self, task: str) -> FramePlan:
        interval = getattr(self._request.tasks[task], "frame_interval", 1)
        return plan_frames(task, interval, self._probed.video, self._probed.range, self._settings)

    async def _tell(self, job: Job) -> None:
        if items := responses.items(job.task, job.results[-1:]):
            await self._emit(events.Partial(job.task, items))
        await self._emit(events.Progress(job.task, job.frames_done, job.frames_total))

    async def _finish(self, job: Job) -> None:
        if job.problem is not None:
            await self._emit(events.Error(job.task, job.problem.document()))
        else:
            await self._emit(events.Result(job.task, self._response(job)))

    async def _done(self) -> None:
        await self._emit(events.Done(self.run_id))

    def _response(self, job: Job) -> Response:
        options = self._request.tasks[job.task]
        producer, producer_version = responses.producer(job.task)
        return responses.RESPONSES[job.task](
            run_id=self.run_id,
            config_hash=config_hash(self._config(options)),
            input_hash=self._digest,
            task_id=self._request.video.task_id,
            producer=producer,
            producer_version=producer_version,
            video=self._probed.video,
            provenance=self._provenance(job),
            timings_ms=Timings(
                queue=round(job.queue_ms, 1),
                decode=round(self._source.decode_ms, 1),
                inference=round(job.inference_ms, 1),
                total=round((time.perf_counter() - self._started) * 1000, 1),
            ),
            **responses.payload(job.task, options, job.results),
        )

    def _config(self, options: Options) -> dict[str, Any]:
        video = self._request.video
        span = {"start_ms": video.start_ms, "end_ms": video.end_ms}
        given = {name: value for name, value in span.items() if value is not None}
        return options.config(self._settings) | given

    def _provenance(self, job: Job) -> Provenance:
        return Provenance(
            model_name=job.model.model_name,
            weights_sha256=job.model.weights_sha256,
            stand_in=job.model.stand_in,
            device=",".join(sorted(job.devices)) or job.model.device,
            precision=job.model.precision,
            decoder="pyav" if job.task == "transcribe" else self._source.engine,
            versions=job.model.versions,
        )


async def _settled(
    digest: Awaitable[str], probed: Awaitable[Probed], models: Sequence[Awaitable[ModelInfo]]
) -> tuple[str, Probed | Problem, list[ModelInfo | Problem]]:
    """Await everything at once; raises the Problem of the digest.

    The other problems are answers here, so that which of them comes first is no race.
    """
    tasks = [asyncio.ensure_future(waited) for waited in (digest, probed, *models)]
    try:
        outcomes: list[Any] = [await tasks[0]]
        outcomes += [await _problem_or(task) for task in tasks[1:]]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes[0], outcomes[1], outcomes[2:]


async def _problem_or(task: asyncio.Future[Any]) -> Any:
    try:
        return await task
    except Problem as problem:
        return problem


async def _together(work: Sequence[Awaitable[None]]) -> None:
    """Await all; where one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(waited) for waited in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
