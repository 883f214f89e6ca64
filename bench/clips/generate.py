"""Makes test clips with known content: `python -m bench.clips demo|long|vfr|bench OUT.mp4`."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from bench.clips import stories
from bench.clips.encoding import Coding, encode, encode_sound, read_stamp, stamp, video_frame
from bench.clips.scenes import Mover, Scene, Truth, play, truth_of
from bench.clips.shapes import Frame, Shape, draw
from bench.clips.sound import Sound, silence, speech

__all__ = [
    "Truth",
    "bench_clip",
    "make_audio",
    "make_bench",
    "make_demo",
    "make_long",
    "make_rotated",
    "make_silent",
    "make_small",
    "make_vfr",
    "read_stamp",
    "truncate",
]

_GREY = 90


def make_demo(path: Path) -> Truth:
    """29 s of 1280 × 720 at 30 fps: shapes, text, photographs, and speech-like audio."""
    scenes, silences = stories.demo(1280, 720), [(15.2, 18.2)]
    sound = speech(29, 3, silences)
    truth = truth_of(scenes, 1280, 720, 30, silences)
    frames = (video_frame(frame, pts) for pts, frame in enumerate(play(scenes, 30)))
    encode(path, frames, truth.frame_count, (1280, 720), Coding(crf=21), sound)
    return truth


def make_bench(
    path: Path,
    seconds: float = 60,
    width: int = 1920,
    height: int = 1080,
    fps: int = 30,
    gop: int | None = 60,
) -> Truth:
    """The benchmark clip: a cut every 4 s, shapes, text, photographs, audio; frames stamped."""
    scenes = stories.takes(11, seconds, 4, width, height)
    silences = [(start, start + 2.5) for start in range(10, int(seconds) - 2, 20)]
    sound = speech(seconds, 5, silences)
    return _film(path, scenes, (width, height), Coding(fps, gop=gop, crf=20), sound, silences)


def bench_clip(folder: Path, quick: bool) -> Path:
    """Return the 1080p30 clip in `folder`, 60 s long, or 20 s if `quick`; make it if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("bench-20s.mp4" if quick else "bench.mp4")
    if not path.exists():
        make_bench(path, seconds=20 if quick else 60)
    return path


def make_small(
    path: Path,
    seconds: float = 3,
    width: int = 320,
    height: int = 180,
    fps: int = 30,
    audio: bool = True,
    seed: int = 1,
) -> Truth:
    """A clip for tests: a cut every second, frames stamped, different content for each seed."""
    scenes = stories.takes(seed, seconds, 1, width, height)
    sound = speech(seconds, seed) if audio else None
    return _film(path, scenes, (width, height), Coding(fps, gop=fps), sound)


def make_silent(path: Path, seconds: float = 2) -> Truth:
    """A small clip whose audio is all zero."""
    scenes = stories.takes(2, seconds, 1, 320, 180)
    return _film(path, scenes, (320, 180), Coding(), silence(seconds), [(0.0, seconds)])


def make_rotated(path: Path, degrees: int = 90, seconds: float = 2) -> Truth:
    """A small clip, upright 320 × 180, stored rotated by 90, 180 or 270° and tagged so."""
    scenes = stories.takes(3, seconds, 1, 320, 180)
    return _film(path, scenes, (320, 180), Coding(rotation=degrees), None)


def make_audio(path: Path, seconds: float = 3) -> None:
    """An audio-only file."""
    encode_sound(path, speech(seconds, 4))


def make_vfr(path: Path, frames: int = 60, width: int = 320, height: int = 180) -> list[int]:
    """A clip of variable frame rate, frames stamped; returns each frame's PTS in ms."""
    rng = np.random.default_rng(9)
    gaps_ms = rng.choice([20, 33, 40, 100, 250], frames - 1)
    pts_ms = [0, *np.cumsum(gaps_ms).tolist()]
    scenes = stories.takes(9, frames / 30, 1, width, height)
    pictures = (
        video_frame(frame, pts)
        for frame, pts in zip(_stamped(play(scenes, 30)), pts_ms, strict=True)
    )
    encode(path, pictures, frames, (width, height), Coding(time_base=Fraction(1, 1000)))
    return pts_ms


def make_long(
    path: Path,
    frames: int = 9000,
    width: int = 1920,
    height: int = 1080,
    fps: int = 30,
    gop: int = 300,
) -> Truth:
    """A long clip that is fast to encode: grey, except for the stamp and one moving star."""
    side = _block_side(height)
    star = Shape("star", width / 2, height / 2, side * 0.45, 0, (255, 170, 30), (255, 255, 255))
    mover = Mover(star, (width / 2 - side, height / 2 - side), (0.05, 0.08, 0.1), 0)
    shapes = [mover.at(index / fps) for index in range(frames)]
    coding = Coding(fps, gop=gop, preset="ultrafast")
    encode(path, _grey_frames(shapes, width, height), frames, (width, height), coding)
    return Truth(width, height, fps, frames, boxes=tuple((shape.box(),) for shape in shapes))


def truncate(path: Path, out: Path, fraction: float) -> None:
    """Copy the first part of a clip; its index comes first, so the cut removes only frames."""
    content = path.read_bytes()
    out.write_bytes(content[: int(len(content) * fraction)])


def main() -> None:
    """Make one clip, and next to it OUT.truth.json with the maker's return value."""
    makers: dict[str, Callable[[Path], Any]] = {
        "demo": make_demo,
        "long": make_long,
        "vfr": make_vfr,
        "bench": make_bench,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=makers)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    truth = makers[options.kind](options.output)
    options.output.with_suffix(".truth.json").write_bytes(msgspec.json.encode(truth))


def _film(
    path: Path,
    scenes: Sequence[Scene],
    size: tuple[int, int],
    coding: Coding,
    sound: Sound | None,
    silences: Sequence[tuple[float, float]] = (),
) -> Truth:
    """Encode scenes with stamped frames; `size` is that of the upright image."""
    truth = truth_of(scenes, *size, coding.fps, silences)
    turns = coding.rotation // 90
    frames = (
        video_frame(np.ascontiguousarray(np.rot90(frame, -turns)), pts)
        for pts, frame in enumerate(_stamped(play(scenes, coding.fps)))
    )
    stored = size[::-1] if turns % 2 else size
    encode(path, frames, truth.frame_count, stored, coding, sound)
    return truth


def _stamped(frames: Iterator[Frame]) -> Iterator[Frame]:
    for index, frame in enumerate(frames):
        stamp(frame, index)
        yield frame


def _grey_frames(shapes: Sequence[Shape], width: int, height: int) -> Iterator[av.VideoFrame]:
    """Repeat one frame; redraw only its stamp and the block with the shape."""
    frame = video_frame(np.full((height, width, 3), _GREY, np.uint8), 0)
    planes: list[Frame] = [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes
    ]
    planes[0] = planes[0][:, :width]
    side = _block_side(height)
    blank = np.full((side, side, 3), _GREY, np.uint8)
    left = top = 0
    for index, shape in enumerate(shapes):
        _paste(planes, blank, left, top)
        left, top = (int(centre - side / 2) // 2 * 2 for centre in (shape.x, shape.y))
        block = blank.copy()
        draw(block, [replace(shape, x=shape.x - left, y=shape.y - top)])
        _paste(planes, block, left, top)
        stamp(planes[0], index)
        frame.pts = index
        yield frame


def _block_side(height: int) -> int:
    return height // 16 * 2


def _paste(planes: Sequence[npt.NDArray[np.uint8]], block: Frame, left: int, top: int) -> None:
    """Copy a square RGB block with even sides into the Y, U and V planes, at even offsets."""
    side = len(block)
    yuv = cv2.cvtColor(block, cv2.COLOR_RGB2YUV_I420).ravel()
    planes[0][top : top + side, left : left + side] = yuv[: side * side].reshape(side, side)
    side, top, left = side // 2, top // 2, left // 2
    for plane, colour in zip(
        planes[1:], yuv[-2 * side * side :].reshape(2, side, side), strict=True
    ):
        plane[top : top + side, left : left + side] = colour
