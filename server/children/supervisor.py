"""Supervises child processes: starts them, kills them if they hang, replaces them if they die."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

import anyio
import msgspec

from ipc.messages import (
    Crashed,
    FromChild,
    Heartbeat,
    Leaving,
    ModelInfo,
    ModelStates,
    Ready,
    Resident,
    Stop,
)
from server.children import deadlines
from server.children.flights import Flights
from server.children.incarnation import ChildSpec, Incarnation, start
from server.frame_pool.pool import Lease

HOPELESS_STARTS = 3  # consecutive failed starts, after which requests stop waiting for a child
WATCH_INTERVAL_S = 0.5
STEADY_AFTER_S = 60.0
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0

log = logging.getLogger(__name__)


class Child:
    """One supervised process: `run` keeps it alive until `stop`.

    `state` is starting, ready, ending, backing_off or stopped. `failed_starts` counts consecutive
    starts that did not become ready. `settled` tells whether the first start has
    succeeded or failed. `reason` is why the last process ended, None while one is ready. `changed`
    is called whenever there may be room for another request.
    """

    def __init__(self, spec: ChildSpec, log_level: str, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.state = "starting"
        self.restarts = 0
        self.failed_starts = 0
        self.settled = False
        self.reason: str | None = None
        self.pid: int | None = None
        self.device_name = spec.device
        self.sandbox: dict[str, str] = {}
        self.heartbeat = Heartbeat()
        self.resident: dict[str, ModelInfo] = {}
        self.model_states: dict[str, str] = {}
        self._log_level = log_level
        self._changed = changed
        self._flights = Flights()
        self._incarnation: Incarnation | None = None
        self._stopping = asyncio.Event()
        self._early_deaths = 0

    @property
    def in_flight(self) -> int:
        """Requests queued or running in the process."""
        return len(self._flights)

    @property
    def has_room(self) -> bool:
        """Whether a request can be sent now."""
        return self.state == "ready" and self.in_flight < self.spec.capacity

    def send(
        self, message: Any, timeout_s: float, lease: Lease | None = None
    ) -> asyncio.Future[FromChild]:
        """Send a request; `has_room` must be true.

        The future ends with the reply, or with ChildDied. The caller may stop waiting at any time:
        the lease is held until the process has replied or is dead. After `timeout_s` the process
        counts as hung.
        """
        assert self.has_room
        assert self._incarnation is not None
        reply = self._flights.add(message.id, timeout_s, lease)
        self._incarnation.channel.send(message)
        reply.add_done_callback(lambda _: self._drop(message.id, reply))
        return reply

    async def run(self) -> None:
        """Keep a process running: start it, watch it, start another after its death."""
        while not self._stopping.is_set():
            started = monotonic()
            self.failed_starts += 1
            reason, left = await self._live()
            self.reason = reason
            self.settled = True
            if self._stopping.is_set():
                break
            self.restarts += 1
            if left:
                log.info("child recycled", extra={"child": self.spec.name, "reason": reason})
                continue
            early = monotonic() - started < STEADY_AFTER_S
            self._early_deaths = self._early_deaths + 1 if early else 0
            backoff_s = min(FIRST_BACKOFF_S * 2**self._early_deaths, LONGEST_BACKOFF_S)
            log.error(
                "child died",
                extra={
                    "child": self.spec.name,
                    "device": self.spec.device,
                    "reason": reason,
                    "backoff_s": backoff_s,
                },
            )
            self._set_state("backing_off")
            await _wait(self._stopping, backoff_s)
        self._set_state("stopped")

    async def stop(self) -> None:
        """Let the process finish its queue for up to `EXIT_S`, kill it, and wait for its end."""
        self._stopping.set()
        incarnation = self._incarnation
        if incarnation is None:
            return
        if self.has_room:
            incarnation.channel.send(Stop())
            await _wait(incarnation.ended, deadlines.EXIT_S)
        incarnation.process.kill()
        await _wait(incarnation.ended, deadlines.EXIT_S)

    def kill(self, reason: str) -> None:
        """End the process at once; `run` starts another."""
        if self._incarnation is not None and self._incarnation.process.is_alive():
            log.error("child killed", extra={"child": self.spec.name, "reason": reason})
            self._incarnation.process.kill()

    def kill_for_good(self) -> None:
        """End the process at once; `run` starts no other."""
        self._stopping.set()
        if self._incarnation is not None:
            self._incarnation.process.kill()

    async def _live(self) -> tuple[str, bool]:
        """Run one process from start to death; return the reason, and whether it left by itself."""
        self._set_state("starting")
        try:
            incarnation = start(self.spec, self._log_level, self._receive)
        except OSError as error:
            return f"it could not be started: {error}", False
        self._incarnation = incarnation
        self.pid = incarnation.process.pid
        try:
            reason = await self._watch(incarnation)
        finally:
            self._set_state("ending")
            incarnation.process.kill()
            await _wait(incarnation.ended, deadlines.EXIT_S)
            await asyncio.to_thread(incarnation.process.join, deadlines.EXIT_S)
            incarnation.channel.close()
            self._bury(incarnation)
        if incarnation.leaving is not None:
            return incarnation.leaving, True
        return f"{incarnation.crash or reason} (exit code {incarnation.process.exitcode})", False

    async def _watch(self, incarnation: Incarnation) -> str:
        """Wait until the process dies or misses a deadline; return the reason."""
        ready_deadline = monotonic() + self.spec.ready_deadline_s
        while not await _wait(incarnation.ended, WATCH_INTERVAL_S):
            now = monotonic()
            if incarnation.leaving is not None:
                return incarnation.leaving
            if not incarnation.ready.is_set():
                if now > ready_deadline:
                    return f"not ready within {self.spec.ready_deadline_s:.0f} s"
            elif now - incarnation.last_sign > deadlines.HEARTBEAT_S:
                return f"no sign of life for {deadlines.HEARTBEAT_S:.0f} s"
            elif self._flights.overdue:
                return "a request missed its deadline"
        return "the process ended"

    def _receive(self, incarnation: Incarnation, message: FromChild) -> None:
        if incarnation is not self._incarnation:
            return  # it was given up already
        incarnation.last_sign = monotonic()
        match message:
            case Ready():
                self.device_name = message.device_name
                self.sandbox = message.sandbox
                self.failed_starts = 0
                self.settled = True
                self.reason = None
                incarnation.ready.set()
                about = {"pid": message.pid, "models": sorted(self.resident)}
                log.info("child ready", extra={"child": self.spec.name} | about)
                self._set_state("ready")
            case Crashed():
                incarnation.crash = message.reason
            case Heartbeat():
                self.heartbeat = message
            case Resident():
                self.resident = {
                    key: msgspec.structs.replace(model, device=self.spec.device)
                    for key, model in message.models.items()
                }
            case ModelStates():
                self.model_states = message.files
            case Leaving():
                incarnation.leaving = message.reason
                self._set_state("ending")
            case _:
                self._early_deaths = 0  # whatever ends it later, it can work
                self._flights.land(message.id, message)
                self._changed()

    def _drop(self, message_id: int, reply: asyncio.Future[FromChild]) -> None:
        """Cancel a request that is still queued after its caller has stopped waiting."""
        if reply.cancelled() and self._incarnation and self._flights.queued(message_id):
            self._incarnation.channel.cancel(message_id)

    def _bury(self, incarnation: Incarnation) -> None:
        """After the death of the process: release its slots, and fail its requests."""
        self._incarnation = None
        self.resident = {}
        self._flights.bury(self.spec.name, at_work=incarnation.leaving is None)

    def _set_state(self, state: str) -> None:
        self.state = state
        self._changed()


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for `event`; return False after `timeout_s`."""
    with anyio.move_on_after(timeout_s):
        await event.wait()
    return event.is_set()
