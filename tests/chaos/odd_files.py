"""Files that are no ordinary video: each with the results that a request about it may have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import mp4_boxes
import numpy as np
from absurd_frames import write_absurd
from clip_library import ClipLibrary
from films import Film, write_films

UNDECODABLE = frozenset({"422 undecodable_video"})
NOT_FOUND = frozenset({"400 video_not_found"})
FORBIDDEN = frozenset({"403 path_not_allowed"})
TOO_LARGE = frozenset({"413 frame_too_large"})
GOOD = frozenset({"200"})

Maker = Callable[[Path, ClipLibrary], object]


@dataclass(frozen=True)
class OddFile:
    """How a file is made, its extension, and what `objects` may answer."""

    make: Maker
    allowed: frozenset[str]
    suffix: str = ".mp4"


def _film(**fields: object) -> Maker:
    options = {"preset": "veryfast", "sc_threshold": "0"}
    film = Film(**{"options": options, "frames": 10, **fields})  # type: ignore[arg-type]
    return lambda path, clips: write_films(path, [film])


def _no_frames(path: Path, clips: ClipLibrary) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width = stream.height = 64
        container.start_encoding()


def _metadata(path: Path, clips: ClipLibrary) -> None:
    """A title that is Latin-1, in a file that says nothing about it."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "caf______"
        stream = container.add_stream("mpeg4", 25)
        stream.width = stream.height = 64
        for frame in (av.VideoFrame(64, 64, "yuv420p"), None):
            container.mux(stream.encode(frame))
    path.write_bytes(path.read_bytes().replace(b"caf______", b"caf\xe9\xff\xfe\xd5\xc0!"))


def _back_and_forth(path: Path, clips: ClipLibrary) -> None:
    """Presentation times that are in no order at all."""
    content = bytearray(clips.path("reordered.mp4").read_bytes())
    (box,) = [box for box in mp4_boxes.boxes(bytes(content)) if box.kind == b"ctts"]
    offsets = np.random.default_rng(1).integers(0, 90_000, (box.end - box.start - 16) // 8)
    for number, offset in enumerate(offsets):
        place = box.start + 20 + 8 * number
        content[place : place + 4] = int(offset).to_bytes(4, "big")
    path.write_bytes(content)


def _eight_days(path: Path, clips: ClipLibrary) -> None:
    """Two frames, eight days apart."""
    film = Film(options={}, frames=2, time_base=Fraction(1, 1000), pts=(0, 8 * 86_400_000))
    write_films(path, [film])


def _copy(name: str) -> Maker:
    return lambda path, clips: shutil.copy(clips.path(name), path)


def _text(content: bytes) -> Maker:
    return lambda path, clips: path.write_bytes(content)


def _symlink(target: str) -> Maker:
    return lambda path, clips: path.symlink_to(target)


ODD_FILES = {
    "no frames": OddFile(_no_frames, UNDECODABLE),
    "one frame": OddFile(_film(frames=1), GOOD),
    "odd dimensions": OddFile(_film(width=321, height=181, pixel_format="yuv444p"), GOOD),
    "raw video": OddFile(_film(codec="rawvideo", options={}, width=42, height=42), GOOD, ".avi"),
    "negative times": OddFile(_copy("negative_times.ts"), GOOD, ".ts"),
    "times in no order": OddFile(_back_and_forth, GOOD),
    "eight days": OddFile(_eight_days, UNDECODABLE, ".mkv"),
    "metadata not UTF-8": OddFile(_metadata, GOOD),
    "absurd size in the header": OddFile(
        lambda path, clips: write_absurd(path, header=True, frames=False), TOO_LARGE, ".webm"
    ),
    "absurd size of frames": OddFile(
        lambda path, clips: write_absurd(path, header=False, frames=True), UNDECODABLE, ".webm"
    ),
    "audio only": OddFile(_copy("spoken.m4a"), UNDECODABLE, ".m4a"),
    "audio only, FLAC": OddFile(_copy("spoken.flac"), UNDECODABLE, ".flac"),
    "picture": OddFile(_copy("letter.png"), UNDECODABLE, ".png"),
    "picture named .mp4": OddFile(_copy("letter.png"), UNDECODABLE),
    "video named .txt": OddFile(_copy("h264.mp4"), GOOD, ".txt"),
    "text": OddFile(_text(b"this is no video\n" * 1000), UNDECODABLE),
    "playlist": OddFile(_text(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), UNDECODABLE, ".m3u8"),
    "list of files": OddFile(_text(b"ffconcat version 1.0\nfile /etc/passwd\n"), UNDECODABLE),
    "empty": OddFile(_text(b""), UNDECODABLE),
    "one byte": OddFile(_text(b"\0"), UNDECODABLE),
    "FIFO": OddFile(lambda path, clips: os.mkfifo(path), NOT_FOUND),
    "directory": OddFile(lambda path, clips: path.mkdir(), NOT_FOUND),
    "link to a device": OddFile(_symlink("/dev/zero"), FORBIDDEN),
    "link to nothing": OddFile(_symlink("nothing.mp4"), NOT_FOUND),
    "link to itself": OddFile(lambda path, clips: path.symlink_to(path), NOT_FOUND),
    "unreadable process file": OddFile(_symlink("/proc/self/mem"), FORBIDDEN),
}
