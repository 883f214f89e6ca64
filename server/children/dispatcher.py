"""Selects a worker for each batch, and retries a batch whose worker died."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ipc import logs
from ipc.messages import Failed, FromChild, Infer, Inferred, Load, Loaded, ModelInfo, TaskSpec
from ipc.subjects import Frames, Subject
from server.children import deadlines
from server.children.flights import ChildDied
from server.children.supervisor import HOPELESS_STARTS, Child
from server.children.waiting_line import Line, next_id
from server.errors import FieldError, Problem
from server.frame_pool.pool import Lease
from server.metrics import Metrics

ATTEMPTS = 2
LOAD_COST_S = 2.0
FIRST_GUESS_S = 0.1
SMOOTHING = 0.3


@dataclass(frozen=True)
class Route:
    """The names of the workers that may run a task, and the deployment's longest request."""

    workers: frozenset[str]
    longest_request_s: float


@dataclass(frozen=True)
class Outcome:
    """The encoded results of one batch, the device that ran it, its waiting and processing time."""

    results: tuple[msgspec.Raw, ...]
    device: str
    queue_ms: float
    inference_ms: float


class Dispatcher:
    """Sends a batch to the worker with the least expected wait; retries it once if that dies."""

    def __init__(self, workers: Sequence[Child], line: Line, metrics: Metrics) -> None:
        self.workers = workers
        self._line = line
        self._metrics = metrics
        self._seconds: dict[tuple[str, str], float] = {}
        self._backlog_s: defaultdict[str, float] = defaultdict(float)

    def capacity(self, route: Route) -> int:
        """The number of batches that all workers of `route` together can hold."""
        return sum(child.spec.capacity for child in self._eligible(route))

    async def load(self, route: Route, spec: TaskSpec) -> ModelInfo:
        """Make the model resident on one worker; raises Problem (model_unavailable, …)."""
        for child in self._eligible(route):
            if spec.model_key in child.resident:
                return child.resident[spec.model_key]
        message = Load(next_id(), _request_id(), spec)
        child, reply = await self._send(
            route, message, deadlines.load_s(route.longest_request_s), None
        )
        assert isinstance(reply, Loaded)
        # With the device's name in DEVICES.
        return msgspec.structs.replace(reply.model, device=child.spec.device)

    async def infer(
        self, route: Route, spec: TaskSpec, subject: Subject, lease: Lease | None = None
    ) -> Outcome:
        """Apply the model to a subject; `lease` holds its slots. Raises Problem."""
        started = time.perf_counter()
        message = Infer(next_id(), _request_id(), spec, subject)
        deadline_s = deadlines.infer_s(subject, route.longest_request_s)
        child, reply = await self._send(route, message, deadline_s, lease)
        assert isinstance(reply, Inferred)
        elapsed_s = time.perf_counter() - started
        inference_s = reply.inference_ms / 1000
        queue_s = max(0.0, elapsed_s - inference_s)
        self._learn(child, spec.task, inference_s)
        self._metrics.queue_wait.labels(spec.task).observe(queue_s)
        self._metrics.inference.labels(spec.task, child.spec.device).observe(inference_s)
        if isinstance(subject, Frames):
            self._metrics.batch_size.labels(spec.task).observe(len(subject.refs) - subject.context)
        return Outcome(reply.results, child.spec.device, queue_s * 1000, reply.inference_ms)

    async def _send(
        self, route: Route, message: Load | Infer, deadline_s: float, lease: Lease | None
    ) -> tuple[Child, FromChild]:
        attempts = 0
        while attempts < ATTEMPTS:
            child, pending = await self._line.send(
                lambda: self._choose(route, message.spec), message, deadline_s, lease
            )
            cost_s = self._cost_s(child, message.spec)
            self._backlog_s[child.spec.name] += cost_s
            try:
                reply = await pending
            except ChildDied as death:
                attempts += death.running
                continue
            finally:
                self._backlog_s[child.spec.name] -= cost_s
            if isinstance(reply, Failed):
                raise _problem(reply)
            return child, reply
        raise Problem("no_worker_ready", _lethal(message))

    def _eligible(self, route: Route) -> list[Child]:
        return [child for child in self.workers if child.spec.name in route.workers]

    def _choose(self, route: Route, spec: TaskSpec) -> Child | None:
        eligible = self._eligible(route)
        if all(child.failed_starts >= HOPELESS_STARTS for child in eligible):
            names = ", ".join(child.spec.name for child in eligible)
            raise Problem(
                "no_worker_ready",
                f"No worker for this task can be started ({names}). /health has the reason.",
            )
        free = [child for child in eligible if child.has_room]
        return min(free, key=lambda child: self._expected_wait_s(child, spec), default=None)

    def _expected_wait_s(self, child: Child, spec: TaskSpec) -> float:
        return self._backlog_s[child.spec.name] + self._cost_s(child, spec)

    def _cost_s(self, child: Child, spec: TaskSpec) -> float:
        seconds = self._seconds.get((child.spec.name, spec.task), FIRST_GUESS_S)
        return seconds + (0.0 if spec.model_key in child.resident else LOAD_COST_S)

    def _learn(self, child: Child, task: str, seconds: float) -> None:
        """Update the expected time of a batch, an exponential moving average."""
        key = (child.spec.name, task)
        known = self._seconds.setdefault(key, seconds)
        self._seconds[key] = known + SMOOTHING * (seconds - known)


def _request_id() -> str:
    return logs.request_id.get() or ""


def _problem(failure: Failed) -> Problem:
    """The Problem for a child's failure."""
    errors = [FieldError(failure.field, failure.detail)] if failure.field else None
    return Problem(failure.code, failure.detail, errors=errors)


def _lethal(message: Load | Infer) -> str:
    """The error text for a batch during which every worker died."""
    what = f"The {message.spec.task} task"
    if isinstance(message, Infer) and isinstance(message.subject, Frames):
        refs = message.subject.refs
        what += f" on frames {refs[0].frame_index} to {refs[-1].frame_index}"
    return f"{what} ended {ATTEMPTS} worker processes, one after the other. It is not retried."
