"""Walks the boxes of an MP4 file, and damages them (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"mvex", b"moof", b"traf"}
HEADER = 8
# Tables of samples: where the count is, from the start of the box.
COUNTS = {b"stts": 12, b"ctts": 12, b"stss": 12, b"stsc": 12, b"stco": 12, b"co64": 12, b"elst": 12}
COUNTS |= {b"stsz": 16, b"stsd": 12, b"dref": 12}
# Of version 0: time unit and duration.
TIMES = {b"mvhd": (20, 24), b"mdhd": (20, 24), b"tkhd": (28, 28)}
ODD_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 1 << 20, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
ABSURD_SIDES = (0, 1, 3, 16_000, 16_384, 32_767, 65_535)


@dataclass(frozen=True)
class Box:
    """One box: its type, and where it starts and ends."""

    kind: bytes
    start: int
    end: int


def boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """All boxes, each before those within it; stops where the sizes make no sense."""
    end = len(content) if end is None else end
    while start + HEADER <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        if not HEADER <= size <= end - start:
            return
        box = Box(kind, start, start + size)
        yield box
        if kind in PARENTS:
            yield from boxes(content, start + HEADER, box.end)
        start = box.end


def _put(content: bytes, place: int, number: int, form: str = ">I") -> bytes:
    changed = bytearray(content)
    if place + struct.calcsize(form) <= len(changed):
        struct.pack_into(form, changed, place, number)
    return bytes(changed)


def _choose(content: bytes, rng: Random, kinds: set[bytes]) -> Box | None:
    found = [box for box in boxes(content) if not kinds or box.kind in kinds]
    return rng.choice(found) if found else None


def change_size(content: bytes, rng: Random) -> bytes:
    """Give a box another size."""
    box = _choose(content, rng, set())
    size = rng.choice([*ODD_NUMBERS, rng.randrange(1 << 16)])
    return content if box is None else _put(content, box.start, size)


def change_type(content: bytes, rng: Random) -> bytes:
    """Give a box the type of another one, or none that exists."""
    box, other = _choose(content, rng, set()), _choose(content, rng, set())
    if box is None or other is None:
        return content
    kind = rng.choice([other.kind, b"\0\0\0\0", b"free", b"caf\xe9"])
    return content[: box.start + 4] + kind + content[box.start + HEADER :]


def change_count(content: bytes, rng: Random) -> bytes:
    """Give a table of samples another number of entries."""
    box = _choose(content, rng, set(COUNTS))
    if box is None:
        return content
    return _put(content, box.start + COUNTS[box.kind], rng.choice(ODD_NUMBERS))


def change_entries(content: bytes, rng: Random) -> bytes:
    """Change the entries of a table: durations, sizes, offsets, order of presentation."""
    box = _choose(content, rng, set(COUNTS))
    for _ in range(rng.randint(1, 8) if box else 0):
        assert box is not None
        place = box.start + 16 + 4 * rng.randrange(max(1, (box.end - box.start - 16) // 4))
        number = rng.choice([*ODD_NUMBERS, rng.randrange(1 << 32), rng.randrange(100)])
        content = _put(content, place, number)
    return content


def change_times(content: bytes, rng: Random) -> bytes:
    """Change a unit of time or a duration in a header."""
    box = _choose(content, rng, set(TIMES))
    if box is None:
        return content
    return _put(content, box.start + rng.choice(TIMES[box.kind]), rng.choice(ODD_NUMBERS))


def change_frame_size(content: bytes, rng: Random) -> bytes:
    """Give the video absurd dimensions, in its sample entry and in its track header."""
    for box in list(boxes(content)):
        if box.kind == b"stsd":
            for place in (box.start + 48, box.start + 50):
                content = _put(content, place, rng.choice(ABSURD_SIDES), ">H")
        elif box.kind == b"tkhd":
            for place in (box.end - 8, box.end - 4):
                content = _put(content, place, rng.choice(ABSURD_SIDES) << 16)
    return content


def change_matrix(content: bytes, rng: Random) -> bytes:
    """Change the rotation of a track."""
    box = _choose(content, rng, {b"tkhd"})
    for place in range(9) if box else ():
        assert box is not None
        number = rng.choice([*ODD_NUMBERS, 1 << 16, 0xFFFF_0000])
        content = _put(content, box.end - 44 + 4 * place, number)
    return content


def drop(content: bytes, rng: Random) -> bytes:
    """Leave a box out."""
    box = _choose(content, rng, set())
    return content if box is None else content[: box.start] + content[box.end :]


def repeat(content: bytes, rng: Random) -> bytes:
    """Write a box twice."""
    box = _choose(content, rng, set())
    return content if box is None else content[: box.end] + content[box.start :]


DAMAGES: dict[str, Callable[[bytes, Random], bytes]] = {
    "box size": change_size,
    "box type": change_type,
    "box count": change_count,
    "box entries": change_entries,
    "box times": change_times,
    "box frame size": change_frame_size,
    "box matrix": change_matrix,
    "box left out": drop,
    "box repeated": repeat,
}
