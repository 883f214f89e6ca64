"""Queues messages until a child has room; sends them in the order of their arrival."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ipc.messages import FromChild
from server.children.supervisor import Child
from server.errors import Problem
from server.frame_pool.pool import Lease

Choice = Callable[[], Child | None]

next_id = itertools.count(1).__next__


@dataclass(eq=False)
class _Ticket:
    choose: Choice
    message: Any
    timeout_s: float
    lease: Lease | None
    sent: asyncio.Future[tuple[Child, asyncio.Future[FromChild]]] = field(
        default_factory=asyncio.Future
    )


class Line:
    """Messages that wait for room, each with its own function that selects a child.

    A message that no child can take yet does not block later ones.
    """

    def __init__(self) -> None:
        self._tickets: deque[_Ticket] = deque()

    def __len__(self) -> int:
        return len(self._tickets)

    async def send(
        self, choose: Choice, message: Any, timeout_s: float, lease: Lease | None = None
    ) -> tuple[Child, asyncio.Future[FromChild]]:
        """Send `message` to the child that `choose` returns, as soon as it returns one.

        Returns the child and the future of its reply; raises what `choose` raises.
        """
        ticket = _Ticket(choose, message, timeout_s, lease)
        self._tickets.append(ticket)
        self.advance()
        try:
            return await ticket.sent
        finally:
            self._tickets = deque(other for other in self._tickets if other is not ticket)

    def advance(self) -> None:
        """Send all messages that can be sent now; call it whenever a child may have room."""
        for ticket in list(self._tickets):
            if ticket.sent.done():
                continue
            try:
                child = ticket.choose()
            except Problem as problem:
                ticket.sent.set_exception(problem)
            else:
                if child is None:
                    continue
                reply = child.send(ticket.message, ticket.timeout_s, ticket.lease)
                ticket.sent.set_result((child, reply))
            self._tickets.remove(ticket)
