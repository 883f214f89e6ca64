"""The service behind the routes: its processes, its pool, and what it does with a request."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Iterable
from pathlib import Path

from prometheus_client.core import Metric

from ipc.frames import Arena
from ipc.messages import ModelInfo, Probed
from server import fleet, media, metrics, responses
from server.admission import Admission
from server.decoders import Decoders
from server.dispatcher import Dispatcher, Route
from server.errors import Problem
from server.metrics import Metrics
from server.pipeline import Findings, Pipeline
from server.placement import Line
from server.planner import plan_audio, plan_frames
from server.pool import FramePool
from server.provenance import config_hash, input_hash
from server.responses import Provenance, Response, Timings
from server.schemas import Options, Video
from server.settings import MB, Settings
from server.supervisor import Child, ChildSpec

HUNG_AFTER_S = 30.0

log = logging.getLogger(__name__)


class Service:
    """Everything that one front owns; nothing runs until `start`."""

    def __init__(self, settings: Settings, worker_entry: str = fleet.WORKER) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.admission = Admission(settings.max_queued_requests)
        self.arena = Arena(settings.frame_pool_mb * MB)
        self.pool = FramePool(self.arena.size_bytes)
        self._line = Line()
        self.decoders = Decoders(
            self._children(fleet.decoders(settings, self.arena.name)), self._line, self.metrics
        )
        self.dispatcher = Dispatcher(
            self._children(fleet.workers(settings, self.arena.name, worker_entry)),
            self._line,
            self.metrics,
        )
        self._pipeline = Pipeline(self.pool, self.decoders, self.dispatcher)
        self._running: list[asyncio.Task[None]] = []
        self._was_ready = False
        self.metrics.observe(self._observe)

    @property
    def children(self) -> list[Child]:
        """Every supervised process."""
        return [*self.decoders.children, *self.dispatcher.workers]

    async def start(self) -> None:
        """Reserve the shared memory and start the children; does not wait for them."""
        self.arena.create()
        self._running = [asyncio.create_task(child.run()) for child in self.children]

    async def stop(self) -> None:
        """End the children, and leave nothing in /dev/shm."""
        await asyncio.gather(*(child.stop() for child in self.children))
        await asyncio.gather(*self._running)
        self.arena.unlink()

    @property
    def ready(self) -> bool:
        """Whether every worker and a decoder wait for work."""
        return all(worker.state == "ready" for worker in self.dispatcher.workers) and any(
            decoder.state == "ready" for decoder in self.decoders.children
        )

    async def infer(self, task: str, video: Video, options: Options) -> Response:
        """Answer one request; raises Problem."""
        path = media.resolve(video.video_path, self.settings.media_roots)
        with self.admission.admit():
            try:
                return await asyncio.wait_for(
                    self._infer(task, path, video, options), self.settings.request_timeout_s
                )
            except asyncio.TimeoutError:
                raise Problem(
                    "deadline_exceeded",
                    f"The answer was not ready within {self.settings.request_timeout_s:g} s "
                    "(REQUEST_TIMEOUT_S). Ask for a part of the video with start_ms and end_ms.",
                ) from None

    async def _infer(self, task: str, path: Path, video: Video, options: Options) -> Response:
        started = time.perf_counter()
        route = Route(
            options.spec(self.settings),
            fleet.workers_for(task, options, self.settings),
            self.settings.request_timeout_s + HUNG_AFTER_S,
        )
        digest, model, probed = await _in_order(
            self._input_hash(path, video),
            self.dispatcher.load(route),
            self.decoders.probe(str(path), video.start_ms, video.end_ms),
        )
        findings = await self._analyse(task, str(path), options, route, probed)
        producer, producer_version = responses.producer(task)
        return responses.RESPONSES[task](
            run_id=str(uuid.uuid4()),
            config_hash=config_hash(self._config(video, options)),
            input_hash=digest,
            task_id=video.task_id,
            producer=producer,
            producer_version=producer_version,
            video=probed.video,
            provenance=_provenance(model, findings),
            timings_ms=_timings(findings, time.perf_counter() - started),
            **responses.payload(task, options, findings.results),
        )

    async def _analyse(
        self, task: str, path: str, options: Options, route: Route, probed: Probed
    ) -> Findings:
        if task == "transcribe":
            return await self._pipeline.audio(path, plan_audio(probed.range, self.settings), route)
        interval = getattr(options, "frame_interval", 1)
        plan = plan_frames(task, interval, probed.video, probed.range, self.settings)
        if task == "scenes":
            return await self._pipeline.scenes(path, plan, route, probed.video, probed.range)
        return await self._pipeline.frames(path, plan, route)

    async def _input_hash(self, path: Path, video: Video) -> str:
        digest = await asyncio.to_thread(input_hash, path)
        if video.input_hash is not None and video.input_hash.lower() != digest:
            raise Problem(
                "input_hash_mismatch",
                f"The file's XXH64 is {digest}, not {video.input_hash}: it is not the file that "
                "the request means, or it has changed.",
            )
        return digest

    def _config(self, video: Video, options: Options) -> dict[str, object]:
        span = {"start_ms": video.start_ms, "end_ms": video.end_ms}
        given = {name: value for name, value in span.items() if value is not None}
        return options.config(self.settings) | given

    def _children(self, specs: list[ChildSpec]) -> list[Child]:
        return [Child(spec, self.settings.log_level, self._changed) for spec in specs]

    def _changed(self) -> None:
        """A child's state or room has changed."""
        self._line.advance()
        if self.ready != self._was_ready:
            self._was_ready = self.ready
            log.info("service ready" if self.ready else "service not ready")

    def _observe(self) -> Iterable[Metric]:
        used = self.pool.used_bytes
        yield metrics.pool_bytes(used, self.pool.size_bytes - used)
        yield metrics.in_progress(self.admission.admitted)
        yield metrics.restarts(
            "eioku_worker_restarts_total",
            "Workers that were replaced.",
            {worker.spec.name: worker.restarts for worker in self.dispatcher.workers},
        )
        yield metrics.total(
            "eioku_decoder_restarts_total",
            "Decoders that were replaced.",
            sum(decoder.restarts for decoder in self.decoders.children),
        )


async def _in_order(
    digest: Awaitable[str], model: Awaitable[ModelInfo], probed: Awaitable[Probed]
) -> tuple[str, ModelInfo, Probed]:
    """Await all three at once, but raise the first one's error first, so that it is no race."""
    tasks = [asyncio.ensure_future(waited) for waited in (digest, model, probed)]
    try:
        return await tasks[0], await tasks[1], await tasks[2]  # type: ignore[return-value]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _provenance(model: ModelInfo, findings: Findings) -> Provenance:
    return Provenance(
        model_name=model.model_name,
        weights_sha256=model.weights_sha256,
        stand_in=model.stand_in,
        device=",".join(sorted(findings.devices)) or model.device,
        precision=model.precision,
        decoder=findings.engine,
        versions=model.versions,
    )


def _timings(findings: Findings, total_s: float) -> Timings:
    return Timings(
        queue=round(findings.queue_ms, 1),
        decode=round(findings.decode_ms, 1),
        inference=round(findings.inference_ms, 1),
        total=round(total_s * 1000, 1),
    )
