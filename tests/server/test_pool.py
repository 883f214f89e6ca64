"""The frame pool: no two slots overlap, nothing leaks, whoever waits is served in order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pool import Extents, FramePool, Slot, TooLarge

PAGE = 4096


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
        pages_taken = {p for s in held for p in range(s.offset, s.offset + s.size_bytes, PAGE)}
        own = set(range(slot.offset, slot.offset + slot.size_bytes, PAGE))
        assert not own & pages_taken
        assert max(own) < 32 * PAGE
        held.append(slot)
    for slot in held:
        extents.join(slot)
    whole = extents.cut(32 * PAGE)
    assert whole == Slot(0, 32 * PAGE)


async def until_idle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_lease_waits_for_room_and_first_come_is_first_served() -> None:
    async def scenario() -> None:
        pool = FramePool(4 * PAGE)
        first = await pool.lease([2 * PAGE])
        with first:
            large = asyncio.create_task(pool.lease([PAGE, 3 * PAGE - 1]))
            small = asyncio.create_task(pool.lease([PAGE]))
            await until_idle()
            assert not large.done()
            assert not small.done()  # there would be room, but it came later
        await until_idle()
        assert large.done()
        with large.result():
            await until_idle()
            assert not small.done()
        with await small:
            assert pool.used_bytes == PAGE
        assert pool.used_bytes == 0
        assert pool.leased == 0

    asyncio.run(scenario())


def test_a_slot_stays_until_the_last_holder_lets_go() -> None:
    async def scenario() -> None:
        pool = FramePool(4 * PAGE)
        with await pool.lease([PAGE]) as lease:
            lease.hold()
        assert pool.leased == 1
        lease.release()
        assert pool.leased == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("granted", [False, True])
def test_a_cancelled_wait_leaks_nothing(granted: bool) -> None:
    async def scenario() -> None:
        pool = FramePool(2 * PAGE)
        holder = await pool.lease([2 * PAGE])
        holder.hold()
        waiting = asyncio.create_task(pool.lease([PAGE]))
        after = asyncio.create_task(pool.lease([2 * PAGE]))
        await until_idle()
        if granted:
            holder.release()  # grants `waiting`, which has not run yet when it is cancelled
        waiting.cancel()
        if not granted:
            holder.release()
        with await after:
            assert pool.used_bytes == 2 * PAGE
        assert waiting.cancelled()
        assert pool.used_bytes == 0

    asyncio.run(scenario())


def test_what_never_fits_is_refused_at_once() -> None:
    async def scenario() -> None:
        with pytest.raises(TooLarge):
            await FramePool(2 * PAGE).lease([PAGE, 2 * PAGE])

    asyncio.run(scenario())
