"""The frame pool: who holds which bytes of the arena.

Slots are cut from the arena best fit, and neighbours that are free again are joined. All of it
lives in the front, in one thread, so the accounting needs no lock.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from ipc.frames import slot_bytes


class TooLarge(Exception):
    """What is wanted at once does not fit the pool even when it is empty."""


@dataclass(frozen=True)
class Slot:
    """A stretch of the arena."""

    offset: int
    size_bytes: int


class Extents:
    """The free bytes of the arena, as (offset, size) in order of offset."""

    def __init__(self, size_bytes: int) -> None:
        self._free = [(0, size_bytes)]

    def cut(self, size_bytes: int) -> Slot | None:
        """Take a slot from the smallest stretch that holds it; None where none does."""
        fitting = [(size, i) for i, (_, size) in enumerate(self._free) if size >= size_bytes]
        if not fitting:
            return None
        size, i = min(fitting)
        offset, _ = self._free[i]
        if size == size_bytes:
            del self._free[i]
        else:
            self._free[i] = (offset + size_bytes, size - size_bytes)
        return Slot(offset, size_bytes)

    def join(self, slot: Slot) -> None:
        """Give a slot back."""
        i = bisect_left(self._free, (slot.offset, 0))
        start, end = slot.offset, slot.offset + slot.size_bytes
        if i < len(self._free) and self._free[i][0] == end:
            end += self._free.pop(i)[1]
        if i > 0 and sum(self._free[i - 1]) == start:
            start = self._free.pop(i - 1)[0]
        insort(self._free, (start, end - start))

    @property
    def free_bytes(self) -> int:
        """The bytes that no slot holds."""
        return sum(size for _, size in self._free)


class Lease:
    """A hold on slots that were granted together, given back when the last holder lets go.

    The request holds the lease while it is in the `with` block; every message that carries a
    reference to the slots holds it until it is answered or its process is dead.
    """

    def __init__(self, pool: FramePool, slots: tuple[Slot, ...]) -> None:
        self.slots = slots
        self._pool = pool
        self._holds = 0

    def hold(self) -> None:
        """Count one more holder."""
        self._holds += 1

    def release(self) -> None:
        """Count one holder less."""
        self._holds -= 1
        if self._holds == 0:
            self._pool.take_back(self.slots)

    def __enter__(self) -> Lease:
        self.hold()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


@dataclass
class _Waiter:
    sizes: tuple[int, ...]
    granted: asyncio.Future[Lease] = field(default_factory=asyncio.Future)


class FramePool:
    """Grants leases in the order they were asked for; all slots of a lease at once or none.

    All at once, because two requests that each hold half of what they need would wait for each
    other for ever.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._extents = Extents(size_bytes)
        self._waiters: deque[_Waiter] = deque()
        self.leased = 0

    async def lease(self, sizes_bytes: Sequence[int]) -> Lease:
        """Slots of these sizes, when they are free; raises TooLarge where they never will be."""
        sizes = tuple(slot_bytes(size) for size in sizes_bytes)
        if sum(sizes) > self.size_bytes:
            raise TooLarge(f"{sum(sizes)} bytes are wanted at once of {self.size_bytes}")
        waiter = _Waiter(sizes)
        self._waiters.append(waiter)
        self._grant()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def take_back(self, slots: tuple[Slot, ...]) -> None:
        """Free the slots of a lease that nobody holds any more."""
        for slot in slots:
            self._extents.join(slot)
        self.leased -= len(slots)
        self._grant()

    @property
    def used_bytes(self) -> int:
        """The bytes under lease."""
        return self.size_bytes - self._extents.free_bytes

    def _grant(self) -> None:
        while self._waiters:
            waiter = self._waiters[0]
            if not waiter.granted.done():
                slots = self._cut(waiter.sizes)
                if slots is None:
                    return
                self.leased += len(slots)
                waiter.granted.set_result(Lease(self, slots))
            self._waiters.popleft()

    def _cut(self, sizes: tuple[int, ...]) -> tuple[Slot, ...] | None:
        slots: list[Slot] = []
        for size in sizes:
            slot = self._extents.cut(size)
            if slot is None:
                for taken in slots:
                    self._extents.join(taken)
                return None
            slots.append(slot)
        return tuple(slots)

    def _abandon(self, waiter: _Waiter) -> None:
        """Undo a wait that was cancelled, perhaps after it was granted."""
        if waiter.granted.done() and not waiter.granted.cancelled():
            self.take_back(waiter.granted.result().slots)
        waiter.granted.cancel()
        self._grant()
