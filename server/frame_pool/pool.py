"""The frame pool: a buffer pool over the arena, keyed by content.

Leased entries are pinned. Idle ones stay until their space is needed: LRU eviction, but frames of a
pass over every frame go before sampled frames, so that such a pass cannot flush the rest. Requests
that want the same missing frame share one slot and one decode. All state lives in one thread of the
front, so it needs no lock.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from ipc.arena import slot_bytes
from ipc.subjects import AudioRef, FrameRef
from server.frame_pool.extents import Extents, Slot

Content = FrameRef | AudioRef | None


class TooLarge(Exception):
    """The frames wanted at once exceed the size of the whole pool."""


@dataclass(frozen=True)
class Want:
    """An entry to lease: its key, its size, and whether it is for a pass over every frame."""

    key: Hashable
    size_bytes: int
    scan: bool = False


@dataclass(eq=False)
class Entry:
    """One slot and its content. `content` is None if the file has no such frame.

    `settled` is set once the content is present or its filler has given up.
    """

    key: Hashable
    slot: Slot
    scan: bool
    state: str = "empty"  # then filling, then ready; back to empty on failure
    holds: int = 0
    content: Content = None
    engine: str = ""
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def fill(self, content: Content, engine: str) -> None:
        """Mark the content as present in the slot, or as known not to exist."""
        self.state, self.content, self.engine = "ready", content, engine
        self.settled.set()

    def give_up(self) -> None:
        """Mark the fill as failed; a waiter may claim the entry."""
        self.state = "empty"
        self.settled.set()


class Lease:
    """A hold on entries that were granted together, released by the last holder.

    The request holds the lease within the `with` block; every message that carries a reference to
    the slots holds it until its reply or the death of its process.
    """

    def __init__(self, pool: FramePool, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._pool = pool
        self._holds = 0
        for entry in self.entries:
            entry.holds += 1

    def part(self, entries: Sequence[Entry]) -> Lease:
        """A separate lease on some of the entries."""
        return Lease(self._pool, entries)

    def claim(self) -> list[Entry]:
        """Return the empty entries and mark them as being filled by the caller."""
        claimed = [entry for entry in self.entries if entry.state == "empty"]
        for entry in claimed:
            entry.state = "filling"
            entry.settled.clear()
        return claimed

    def hold(self) -> None:
        """Add a holder."""
        self._holds += 1

    def release(self) -> None:
        """Remove a holder."""
        self._holds -= 1
        if self._holds == 0:
            self._pool.unhold(self.entries)

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
    wants: tuple[Want, ...]
    granted: asyncio.Future[Lease] = field(default_factory=asyncio.Future)


class FramePool:
    """Grants leases in the order of requests; all entries of a lease at once, or none.

    Otherwise two requests that each hold half of what they need would deadlock.
    """

    def __init__(
        self, size_bytes: int, counted: Callable[[int, int], None] = lambda hits, misses: None
    ) -> None:
        self.size_bytes = size_bytes
        self._extents = Extents(size_bytes)
        self._entries: dict[Hashable, Entry] = {}
        self._idle: dict[bool, OrderedDict[Hashable, Entry]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self.cached_bytes = 0  # in idle entries
        self._waiters: deque[_Waiter] = deque()
        self._counted = counted

    async def lease(self, wants: Sequence[Want]) -> Lease:
        """Lease all of `wants` as soon as there is space; raises TooLarge if they can never fit."""
        distinct = {want.key: want for want in wants}
        if sum(slot_bytes(want.size_bytes) for want in distinct.values()) > self.size_bytes:
            raise TooLarge(f"{len(distinct)} slots do not fit {self.size_bytes} bytes")
        waiter = _Waiter(tuple(wants))
        self._waiters.append(waiter)
        self._grant()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._cancel(waiter)
            raise

    def unhold(self, entries: Sequence[Entry]) -> None:
        """Remove a hold; entries that are ready stay cached until their space is needed."""
        for entry in entries:
            entry.holds -= 1
            if entry.holds == 0:
                self._unpin(entry)
                if entry.state != "ready":
                    self._evict(entry)
        self._grant()

    @property
    def leased(self) -> int:
        """The number of pinned slots."""
        return len(self._entries) - sum(len(idle) for idle in self._idle.values())

    @property
    def free_bytes(self) -> int:
        """The number of bytes in no slot."""
        return self._extents.free_bytes

    def _grant(self) -> None:
        while self._waiters:
            waiter = self._waiters[0]
            if not waiter.granted.done():
                lease = self._take(waiter.wants)
                if lease is None:
                    return
                waiter.granted.set_result(lease)
            self._waiters.popleft()

    def _take(self, wants: Sequence[Want]) -> Lease | None:
        """Pin present entries and allocate the rest; None if there is not enough space yet."""
        present = [self._entries[want.key] for want in wants if want.key in self._entries]
        missing = {want.key: want for want in wants if want.key not in self._entries}
        lease = Lease(self, list(dict.fromkeys(present)))
        for entry in lease.entries:
            self._pin(entry)
        made: list[Entry] = []
        if self._too_full_for(missing.values()):
            self._roll_back(lease.entries, made)
            return None
        for want in missing.values():
            slot = self._room(slot_bytes(want.size_bytes))
            if slot is None:
                self._roll_back(lease.entries, made)
                return None
            made.append(Entry(want.key, slot, want.scan))
        self._entries.update({entry.key: entry for entry in made})
        for want in wants:
            self._entries[want.key].scan &= want.scan
        self._counted(len(lease.entries), len(made))
        in_order = [self._entries[key] for key in dict.fromkeys(want.key for want in wants)]
        for entry in lease.entries:
            entry.holds -= 1
        return Lease(self, in_order)

    def _roll_back(self, pinned: Sequence[Entry], made: Sequence[Entry]) -> None:
        for entry in made:
            self._extents.join(entry.slot)
        for entry in pinned:
            entry.holds -= 1
            if entry.holds == 0:
                self._unpin(entry)

    def _too_full_for(self, wants: Iterable[Want]) -> bool:
        """Whether no eviction could make room: then nothing is to be evicted."""
        needed_bytes = sum(slot_bytes(want.size_bytes) for want in wants)
        return self.free_bytes + self.cached_bytes < needed_bytes

    def _room(self, size_bytes: int) -> Slot | None:
        """Allocate a slot; evict idle entries until it fits."""
        while True:
            slot = self._extents.cut(size_bytes)
            idle = self._idle[True] or self._idle[False]
            if slot is not None or not idle:
                return slot
            self._evict(next(iter(idle.values())))

    def _pin(self, entry: Entry) -> None:
        if self._idle[entry.scan].pop(entry.key, None) is not None:
            self.cached_bytes -= entry.slot.size_bytes

    def _unpin(self, entry: Entry) -> None:
        self._idle[entry.scan][entry.key] = entry
        self.cached_bytes += entry.slot.size_bytes

    def _evict(self, entry: Entry) -> None:
        self._pin(entry)
        del self._entries[entry.key]
        self._extents.join(entry.slot)

    def _cancel(self, waiter: _Waiter) -> None:
        """Undo a cancelled wait, which may already have been granted."""
        if waiter.granted.done() and not waiter.granted.cancelled():
            self.unhold(waiter.granted.result().entries)
        waiter.granted.cancel()
        self._grant()
