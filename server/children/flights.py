"""The requests that one child has, queued or at work, in the order in which it works on them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic

from ipc.messages import FromChild
from server.frame_pool.pool import Lease


class ChildDied(Exception):
    """The process that had a request died before it replied.

    `running` tells whether it was processing this request; the others were only queued. `overdue`
    tells whether this request had missed its deadline.
    """

    def __init__(self, name: str, *, running: bool, overdue: bool) -> None:
        super().__init__(name)
        self.running = running
        self.overdue = overdue


@dataclass
class _Flight:
    """One request, its lease, and how long the child may work on it.

    `started` is when the child got to it, in monotonic seconds: time in the queue does not count.
    """

    reply: asyncio.Future[FromChild]
    timeout_s: float
    lease: Lease | None
    started: float | None = None

    @property
    def overdue(self) -> bool:
        """Whether the child has worked on it for too long."""
        return self.started is not None and monotonic() > self.started + self.timeout_s

    def release(self) -> None:
        """The process no longer uses the slots."""
        if self.lease is not None:
            self.lease.release()


class Flights:
    """A child works on its requests one after another, so the oldest one is at work."""

    def __init__(self) -> None:
        self._flights: dict[int, _Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def add(
        self, message_id: int, timeout_s: float, lease: Lease | None
    ) -> asyncio.Future[FromChild]:
        """Hold the lease until the reply, which the future ends with, or the child's death."""
        reply: asyncio.Future[FromChild] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(_noticed)
        if lease is not None:
            lease.hold()
        self._flights[message_id] = _Flight(reply, timeout_s, lease)
        self._start_oldest()
        return reply

    def land(self, message_id: int, message: FromChild) -> None:
        """The child has replied."""
        flight = self._flights.pop(message_id)
        self._start_oldest()
        flight.release()
        if not flight.reply.done():
            flight.reply.set_result(message)

    def bury(self, name: str, *, at_work: bool) -> None:
        """The child of this name is dead: release all slots, and fail all requests.

        `at_work` tells whether it was working on the oldest one.
        """
        flights, self._flights = self._flights, {}
        for place, flight in enumerate(flights.values()):
            flight.release()
            if not flight.reply.done():
                running = at_work and place == 0
                death = ChildDied(name, running=running, overdue=flight.overdue)
                flight.reply.set_exception(death)

    def queued(self, message_id: int) -> bool:
        """Whether the child has not got to this request yet."""
        flight = self._flights.get(message_id)
        return flight is not None and flight.started is None

    @property
    def overdue(self) -> bool:
        """Whether the child has worked on a request for too long."""
        return any(flight.overdue for flight in self._flights.values())

    def _start_oldest(self) -> None:
        flight = next(iter(self._flights.values()), None)
        if flight is not None and flight.started is None:
            flight.started = monotonic()


def _noticed(reply: asyncio.Future[FromChild]) -> None:
    """Retrieve the exception: no request awaits it if its request was cancelled."""
    if not reply.cancelled():
        reply.exception()
