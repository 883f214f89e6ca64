"""The service behind the routes: owns the processes and the frame pool, and runs requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, nullcontext

import anyio
from prometheus_client.core import Metric

from ipc.arena import Arena
from server import metrics
from server.analysis import events
from server.analysis.admission import Admission
from server.analysis.analysis import Analysis
from server.analysis.events import Event, Stream
from server.analysis.hashes import InputHashes
from server.analysis.request import Request
from server.analysis.response_builder import CombinedResponse
from server.analysis.validators import code_digest
from server.children import child_specs
from server.children.decoder_client import DecoderClient
from server.children.dispatcher import Dispatcher
from server.children.incarnation import ChildSpec
from server.children.readiness import Readiness
from server.children.supervisor import Child
from server.children.waiting_line import Line
from server.errors import Problem, ProblemDocument
from server.frame_pool.pool import FramePool
from server.metrics import Metrics
from server.settings import MB, Settings
from server.tasks.response import Response

log = logging.getLogger(__name__)


class Service:
    """Everything that the front owns; nothing runs before `start`."""

    def __init__(self, settings: Settings, worker_entry: str = child_specs.WORKER) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.admission = Admission(settings.max_queued_requests)
        self.arena = Arena(settings.frame_pool_mb * MB)
        self.pool = FramePool(self.arena.size_bytes, self.metrics.count_pool)
        self.hashes = InputHashes()
        self._line = Line()
        self.decoders = DecoderClient(
            self._children(child_specs.decoders(settings, self.arena.name)),
            self._line,
            self.metrics,
        )
        self.dispatcher = Dispatcher(
            self._children(child_specs.workers(settings, self.arena.name, worker_entry)),
            self._line,
            self.metrics,
        )
        self.readiness = Readiness(
            self.dispatcher.workers,
            self.decoders.children,
            child_specs.needed_workers(settings),
        )
        self._running: list[asyncio.Task[None]] = []
        self._was_ready = False
        self.metrics.observe(self._observe)

    @property
    def children(self) -> list[Child]:
        """Every supervised process."""
        return [*self.decoders.children, *self.dispatcher.workers]

    async def start(self) -> None:
        """Start the children, and reserve the shared memory; do not wait until they are ready.

        Raises OSError if /dev/shm cannot hold the pool; call `stop` in this case too.
        """
        self.arena.create()
        self._running = [asyncio.create_task(child.run()) for child in self.children]
        await asyncio.to_thread(code_digest)
        await asyncio.to_thread(self.arena.reserve)

    async def stop(self) -> None:
        """Stop the children, and unlink the arena."""
        try:
            await asyncio.gather(*(child.stop() for child in self.children))
            await asyncio.gather(*self._running)
        finally:
            self.arena.unlink()

    def kill(self) -> None:
        """End all children at once, whatever they work on; `stop` then has nothing to wait for."""
        for child in self.children:
            child.kill_for_good()

    async def events(
        self, request: Request, stream: Stream | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of the request, from `stream` if given.

        Raises Problem if it fails as a whole, NotModified if the client has the response already.
        """
        stream = Stream() if stream is None else stream
        with nullcontext() if request.admitted else self.admission.admit(request.recurrence_key):
            async with aclosing(stream.events(self._run(request, stream))) as emitted:
                async for event in emitted:
                    yield event

    async def infer(self, request: Request, stream: Stream | None = None) -> Response:
        """Return the response of the request's only task; raises Problem, NotModified."""
        combined = await self.infer_all(request, stream)
        (response,) = combined.results.values()
        assert isinstance(response, Response)
        return response

    async def infer_all(self, request: Request, stream: Stream | None = None) -> CombinedResponse:
        """Return the response of each task; raises Problem if all tasks failed, NotModified.

        Afterwards, `stream` has the validator of the response.
        """
        results: dict[str, Response] = {}
        errors: dict[str, ProblemDocument] = {}
        stream = Stream() if stream is None else stream
        async with aclosing(self.events(request, stream)) as emitted:
            async for event in emitted:
                if isinstance(event, events.Result):
                    results[event.task] = event.response
                elif isinstance(event, events.Error):
                    errors[event.task] = event.problem
                    stream.validator = None
        for document in errors.values():
            if not results:
                raise Problem(document.code, document.detail, errors=document.errors)
        in_order = {task: results[task] for task in request.tasks if task in results}
        first = next(iter(in_order.values()))
        return CombinedResponse(first.run_id, first.input_hash, first.video, in_order, errors)

    async def _run(self, request: Request, stream: Stream) -> None:
        analysis = Analysis(
            request, self.settings, self.pool, self.decoders, self.dispatcher, self.hashes
        )
        try:
            with anyio.fail_after(request.timeout_s - request.spent_s):
                await analysis.run(stream)
        except TimeoutError:
            raise Problem(
                "deadline_exceeded",
                f"The response was not ready within {request.timeout_s:g} s (REQUEST_TIMEOUT_S, or "
                "the request's X-Request-Timeout). Request a part of the video with start_ms and "
                "end_ms.",
            ) from None

    def _children(self, specs: list[ChildSpec]) -> list[Child]:
        return [Child(spec, self.settings.log_level, self._changed) for spec in specs]

    def _changed(self) -> None:
        """Send waiting messages after a child's state or queue has changed."""
        self._line.advance()
        ready = self.readiness.ready
        if ready != self._was_ready:
            self._was_ready = ready
            about = {"obstacles": self.readiness.obstacles, "absent": self.readiness.absent}
            log.info("service ready" if ready else "service not ready", extra=about)

    def _observe(self) -> Iterable[Metric]:
        free, cached = self.pool.free_bytes, self.pool.cached_bytes
        leased = self.pool.size_bytes - free - cached
        yield metrics.pool_bytes({"leased": leased, "cached": cached, "free": free})
        yield metrics.in_progress(self.admission.admitted)
        yield metrics.restarts(
            "eioku_worker_restarts_total",
            "Restarts of each worker.",
            {worker.spec.name: worker.restarts for worker in self.dispatcher.workers},
        )
        yield metrics.total(
            "eioku_decoder_restarts_total",
            "Restarts of all decoders.",
            sum(decoder.restarts for decoder in self.decoders.children),
        )
