"""Free extents of the arena: best-fit allocation; adjacent free extents are merged."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """An extent of the arena."""

    offset: int
    size_bytes: int


class Extents:
    """The free extents of the arena, as (offset, size), sorted by offset."""

    def __init__(self, size_bytes: int) -> None:
        self._free = [(0, size_bytes)]

    def cut(self, size_bytes: int) -> Slot | None:
        """Allocate a slot from the smallest extent that fits; None if none does."""
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
        """Free a slot and merge it with its free neighbours."""
        i = bisect_left(self._free, (slot.offset, 0))
        start, end = slot.offset, slot.offset + slot.size_bytes
        if i < len(self._free) and self._free[i][0] == end:
            end += self._free.pop(i)[1]
        if i > 0 and sum(self._free[i - 1]) == start:
            start = self._free.pop(i - 1)[0]
        insort(self._free, (start, end - start))

    @property
    def free_bytes(self) -> int:
        """The number of bytes in no slot."""
        return sum(size for _, size in self._free)
