"""The frame pool against a simple reference: no overlap, leak, deadlock or second decode."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.subjects import FrameRef
from server.frame_pool.extents import Extents, Slot
from server.frame_pool.pool import Entry, FramePool, Lease, TooLarge, Want

PAGE = 4096
PAGES = 16


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30)), max_size=80))
def test_slots_never_overlap_and_joining_restores_all(steps: list[tuple[int, int]]) -> None:
    extents = Extents(32 * PAGE)
    held: list[Slot] = []
    for pages, victim in steps:
        slot = extents.cut(pages * PAGE)
        if slot is None:
            if held:
                extents.join(held.pop(victim % len(held)))
            continue
        assert not set(pages_of(slot)) & {page for other in held for page in pages_of(other)}
        assert max(pages_of(slot)) < 32
        held.append(slot)
    for slot in held:
        extents.join(slot)
    assert extents.cut(32 * PAGE) == Slot(0, 32 * PAGE)


def pages_of(slot: Slot) -> range:
    return range(slot.offset // PAGE, (slot.offset + slot.size_bytes) // PAGE)


def want(key: Hashable, pages: int = 1, scan: bool = False) -> Want:
    return Want(key, pages * PAGE, scan)


def fill(entry: Entry) -> None:
    entry.fill(FrameRef(entry.slot.offset, 1, 1, 0, 0.0), "pyav")


async def until_idle() -> None:
    """Let every asyncio task run until it waits."""
    for _ in range(8):
        await asyncio.sleep(0)


class Reference:
    """The pool's invariants, tracked with sets."""

    def __init__(self) -> None:
        self.pool = FramePool(PAGES * PAGE)
        self.leases: list[Lease] = []
        self.waiting: list[asyncio.Task[Lease]] = []

    async def step(self, action: str, keys: set[int], which: int) -> None:
        if action == "want":
            wants = [want(key, 1 + key % 3, scan=key % 2 == 0) for key in sorted(keys)]
            self.waiting.append(asyncio.create_task(self.pool.lease(wants)))
        elif action == "cancel" and self.waiting:
            task = self.waiting.pop(which % len(self.waiting))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        elif self.leases:
            lease = self.leases[which % len(self.leases)]
            if action == "release":
                self.leases.remove(lease)
                for entry in lease.claim():
                    entry.give_up()
                lease.release()
            else:
                for entry in lease.claim():
                    fill(entry) if action == "decode" else entry.give_up()
        await until_idle()
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            lease = task.result()
            lease.hold()
            self.leases.append(lease)
        self.check()

    def check(self) -> None:
        pinned = {entry.key: entry for lease in self.leases for entry in lease.entries}
        for lease in self.leases:
            for entry in lease.entries:
                assert pinned[entry.key] is entry, "one key, two slots"
        taken = [page for entry in pinned.values() for page in pages_of(entry.slot)]
        assert len(taken) == len(set(taken)), "two slots overlap"
        assert self.pool.leased == len(pinned)
        in_use = len(taken) * PAGE + self.pool.cached_bytes + self.pool.free_bytes
        assert in_use == PAGES * PAGE, "bytes were lost"

    async def drain(self) -> None:
        """After all releases, every wait ends and all bytes are available."""
        for _ in range(200):
            if not (self.leases or self.waiting):
                break
            await self.step("release", set(), 0)
        assert not self.waiting, "a wait that never ends"
        assert self.pool.leased == 0
        with await self.pool.lease([want("all", PAGES)]) as lease:
            assert lease.entries[0].slot == Slot(0, PAGES * PAGE)


ACTIONS = st.sampled_from(["want", "want", "decode", "decode", "fail", "release", "cancel"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(ACTIONS, st.sets(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 9)),
        max_size=40,
    )
)
def test_any_interleaving_keeps_the_invariants(steps: list[tuple[str, set[int], int]]) -> None:
    async def scenario() -> None:
        reference = Reference()
        for action, keys, which in steps:
            await reference.step(action, keys, which)
        await reference.drain()

    asyncio.run(scenario())


def test_cached_frames_are_not_decoded_again() -> None:
    async def scenario() -> None:
        counted: list[tuple[int, int]] = []
        pool = FramePool(8 * PAGE, lambda hits, misses: counted.append((hits, misses)))
        with await pool.lease([want("a"), want("b")]) as first:
            for entry in first.claim():
                fill(entry)
        with await pool.lease([want("b"), want("c")]) as second:
            assert [entry.key for entry in second.claim()] == ["c"]
        assert counted == [(0, 2), (1, 1)]

    asyncio.run(scenario())


def test_frames_in_decoding_are_awaited() -> None:
    async def scenario() -> None:
        pool = FramePool(8 * PAGE)
        with await pool.lease([want("a")]) as first, await pool.lease([want("a")]) as second:
            (entry,) = first.claim()
            assert second.claim() == []
            waiting = asyncio.create_task(entry.settled.wait())
            await until_idle()
            assert not waiting.done()
            entry.give_up()
            await waiting
            assert second.claim() == [entry]

    asyncio.run(scenario())


def test_a_pass_over_every_frame_does_not_flush_sampled_frames() -> None:
    async def scenario() -> None:
        pool = FramePool(8 * PAGE)
        with await pool.lease([want("sampled", 2)]) as lease:
            fill(lease.claim()[0])
        for number in range(100):
            with await pool.lease([want(number, 2, scan=True)]) as lease:
                fill(lease.claim()[0])
        with await pool.lease([want("sampled", 2)]) as lease:
            assert lease.claim() == []

    asyncio.run(scenario())


def test_leases_are_granted_in_order() -> None:
    async def scenario() -> None:
        pool = FramePool(4 * PAGE)
        with await pool.lease([want("a", 2)]):
            large = asyncio.create_task(pool.lease([want("b"), want("c", 3)]))
            small = asyncio.create_task(pool.lease([want("d")]))
            await until_idle()
            assert not large.done()
            assert not small.done()  # there is space, but it came later
        with await large:
            await until_idle()
            assert not small.done()
        with await small:
            assert pool.leased == 1

    asyncio.run(scenario())


def test_what_never_fits_is_refused_immediately() -> None:
    async def scenario() -> None:
        with pytest.raises(TooLarge):
            await FramePool(2 * PAGE).lease([want("a"), want("b", 2)])

    asyncio.run(scenario())


def test_a_lease_that_has_to_wait_evicts_nothing_meanwhile() -> None:
    async def scenario() -> None:
        pool = FramePool(PAGES * PAGE)
        with await pool.lease([want("kept", 6)]) as lease:
            for entry in lease.claim():
                fill(entry)
        with await pool.lease([want("held", 4)]):
            waiting = asyncio.create_task(pool.lease([want(i, 3) for i in range(5)]))
            await until_idle()
            assert not waiting.done()  # 15 pages of 16, of which 4 are held
            with await asyncio.wait_for(one_of(pool, waiting), 5) as found:
                assert [entry.state for entry in found.entries] == ["ready"]

    async def one_of(pool: FramePool, waiting: asyncio.Task[Lease]) -> Lease:
        """Cancel the one that waits, and ask for what was cached before."""
        waiting.cancel()
        return await pool.lease([want("kept", 6)])

    asyncio.run(scenario())
