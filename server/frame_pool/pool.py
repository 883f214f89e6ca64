"""The frame pool: a buffer pool over the arena, keyed by content.

What is leased is pinned; what is not stays until its room is wanted, the least recently used first,
and what a pass over every frame brought in before what was sampled, so that such a pass cannot
flush the rest. Two that want the same missing frame share one slot and one decode. All of it lives
in the front, in one thread, so the accounting needs no lock.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from ipc.arena import slot_bytes
from ipc.messages import AudioRef, FrameRef
from server.frame_pool.extents import Extents, Slot

Content = FrameRef | AudioRef | None


class TooLarge(Exception):
    """What is wanted at once does not fit the pool even when it is empty."""


@dataclass(frozen=True)
class Want:
    """Something to hold: what it is, how large, and whether a pass over everything wants it."""

    key: Hashable
    size_bytes: int
    scan: bool = False


@dataclass(eq=False)
class Entry:
    """One slot and what it is for. `content` is None where the file holds no such frame.

    `settled` is set once the content is there, or whoever was to bring it has given up.
    """

    key: Hashable
    slot: Slot
    scan: bool
    state: str = "empty"  # then filling, then ready; back to empty where that failed
    holds: int = 0
    content: Content = None
    engine: str = ""
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def fill(self, content: Content, engine: str) -> None:
        """The content is in the slot, or known not to exist."""
        self.state, self.content, self.engine = "ready", content, engine
        self.settled.set()

    def give_up(self) -> None:
        """The content was not brought; whoever waits for it may try."""
        self.state = "empty"
        self.settled.set()


class Lease:
    """A hold on entries that were granted together, given back when the last holder lets go.

    The request holds the lease while it is in the `with` block; every message that carries a
    reference to the slots holds it until it is answered or its process is dead.
    """

    def __init__(self, pool: FramePool, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._pool = pool
        self._holds = 0
        for entry in self.entries:
            entry.holds += 1

    def part(self, entries: Sequence[Entry]) -> Lease:
        """A lease of its own on some of the entries."""
        return Lease(self._pool, entries)

    def claim(self) -> list[Entry]:
        """The entries that nobody is filling; from now on the caller is."""
        claimed = [entry for entry in self.entries if entry.state == "empty"]
        for entry in claimed:
            entry.state = "filling"
            entry.settled.clear()
        return claimed

    def hold(self) -> None:
        """Count one more holder."""
        self._holds += 1

    def release(self) -> None:
        """Count one holder less."""
        self._holds -= 1
        if self._holds == 0:
            self._pool.let_go(self.entries)

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
    """Grants leases in the order they were asked for; all entries of a lease at once or none.

    All at once, because two requests that each hold half of what they need would wait for each
    other for ever.
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
        self.cached_bytes = 0  # of what is kept and not pinned
        self._waiters: deque[_Waiter] = deque()
        self._counted = counted

    async def lease(self, wants: Sequence[Want]) -> Lease:
        """Hold all of `wants`, once there is room; raises TooLarge where there never will be."""
        distinct = {want.key: want for want in wants}
        if sum(slot_bytes(want.size_bytes) for want in distinct.values()) > self.size_bytes:
            raise TooLarge(f"{len(distinct)} slots do not fit {self.size_bytes} bytes")
        waiter = _Waiter(tuple(wants))
        self._waiters.append(waiter)
        self._grant()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def let_go(self, entries: Sequence[Entry]) -> None:
        """Unpin entries; what is ready stays as long as its room is not wanted."""
        for entry in entries:
            entry.holds -= 1
            if entry.holds == 0:
                self._unpin(entry)
                if entry.state != "ready":
                    self._evict(entry)
        self._grant()

    @property
    def leased(self) -> int:
        """How many slots are pinned."""
        return len(self._entries) - sum(len(idle) for idle in self._idle.values())

    @property
    def free_bytes(self) -> int:
        """The bytes that hold nothing."""
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
        """Pin what is there and make room for the rest; None where that cannot be yet."""
        there = [self._entries[want.key] for want in wants if want.key in self._entries]
        missing = {want.key: want for want in wants if want.key not in self._entries}
        lease = Lease(self, list(dict.fromkeys(there)))
        for entry in lease.entries:
            self._pin(entry)
        made: list[Entry] = []
        for want in missing.values():
            slot = self._room(slot_bytes(want.size_bytes))
            if slot is None:
                self._give_back(lease.entries, made)
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

    def _give_back(self, pinned: Sequence[Entry], made: Sequence[Entry]) -> None:
        for entry in made:
            self._extents.join(entry.slot)
        for entry in pinned:
            entry.holds -= 1
            if entry.holds == 0:
                self._unpin(entry)

    def _room(self, size_bytes: int) -> Slot | None:
        """A slot, evicting what is idle until it fits."""
        if self.free_bytes + self.cached_bytes < size_bytes:
            return None
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

    def _abandon(self, waiter: _Waiter) -> None:
        """Undo a wait that was cancelled, perhaps after it was granted."""
        if waiter.granted.done() and not waiter.granted.cancelled():
            self.let_go(waiter.granted.result().entries)
        waiter.granted.cancel()
        self._grant()
