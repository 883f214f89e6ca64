"""A corpus of damaged files: each is a clip, damaged in one seeded way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import mp4_boxes
from clip_library import ClipLibrary
from outcomes import seeded

PART = "input"
SOURCES = (
    *("h264.mp4", "one_group.mp4", "reordered.mp4", "hevc.mp4", "h264_10bit.mp4", "av1.mkv"),
    *("vp9.webm", "odd_size.webm", "rotated_90.mp4", "variable_rate.mp4", "negative_times.ts"),
    *("edit_list.mp4", "two_streams.mp4", "everything.mp4", "silent.mp4", "spoken.m4a"),
    *("spoken.flac", "h264_444_odd_size.mp4"),
)
HEAD_BYTES = 4000

Damage = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class DamagedFile:
    """A file of the corpus: `fault` is the name of its damage, `source` the clip it was."""

    number: int
    fault: str
    source: str
    content: bytes

    def write(self, folder: Path) -> Path:
        """Put the file into a folder."""
        path = folder / f"{self.number}-{self.source}"
        path.write_bytes(self.content)
        return path


def damaged_file(number: int, clips: ClipLibrary) -> DamagedFile:
    """The file with this number; the seed and the number say what it is."""
    rng = seeded(PART, number)
    source = rng.choice(SOURCES)
    content = clips.path(source).read_bytes()
    boxed = source.endswith((".mp4", ".m4a"))
    fault = rng.choice([*BYTES, *mp4_boxes.DAMAGES] if boxed else list(BYTES))
    damage = BYTES.get(fault) or mp4_boxes.DAMAGES[fault]
    return DamagedFile(number, fault, source, damage(content, rng))


def _header(content: bytes, rng: Random) -> bytes:
    """Change one to eight of the first bytes."""
    return _changed(content, rng, min(HEAD_BYTES, len(content)), rng.randint(1, 8))


def _anywhere(content: bytes, rng: Random) -> bytes:
    return _changed(content, rng, len(content), rng.randint(1, 64))


def _changed(content: bytes, rng: Random, end: int, count: int) -> bytes:
    changed = bytearray(content)
    for _ in range(count):
        changed[rng.randrange(end)] = rng.randrange(256)
    return bytes(changed)


def _truncated(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _zeroed(content: bytes, rng: Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.randint(1, 5000)
    return content[:start] + bytes(len(content[start : start + length])) + content[start + length :]


def _repeated(content: bytes, rng: Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.randint(1, 5000)
    return content[: start + length] + content[start:]


def _left_out(content: bytes, rng: Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.randint(1, 5000)
    return content[:start] + content[start + length :]


def _shuffled(content: bytes, rng: Random) -> bytes:
    """Exchange two halves, so that the index and the media are in the wrong order."""
    middle = rng.randrange(len(content))
    return content[middle:] + content[:middle]


BYTES: dict[str, Damage] = {
    "header bytes": _header,
    "bytes": _anywhere,
    "truncated": _truncated,
    "zeros": _zeroed,
    "repeated": _repeated,
    "left out": _left_out,
    "halves exchanged": _shuffled,
}
