"""Encodes images and audio into an MP4 with its index first, and stamps frame numbers."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from bench.clips.shapes import Frame
from bench.clips.sound import RATE, Sound

_VIDEO_CODEC = next(name for name in ("libx264", "mpeg4") if name in av.codecs_available)
_AUDIO_BLOCK = 1024  # samples per AAC frame
_CELLS = 40  # a stamp's cell is 1/40 of the frame's width, in both directions
_BITS = 18
_MIN_CONTRAST = 100


@dataclass(frozen=True)
class Coding:
    """How a clip is encoded; `time_base` is the unit of PTS, by default one frame.

    `rotation` rotates the stored images and tags the clip so that a player rotates them back:
    0, 90, 180 or 270 degrees counterclockwise.
    """

    fps: int = 30
    time_base: Fraction | None = None
    gop: int | None = 60
    crf: int = 23
    preset: str = "veryfast"
    rotation: int = 0


def encode(
    path: Path,
    frames: Iterable[av.VideoFrame],
    count: int,
    size: tuple[int, int],
    coding: Coding,
    sound: Sound | None = None,
) -> None:
    """Write `count` frames of `size` (width, height), with their PTS set, and stereo audio.

    There is a keyframe exactly every `gop` frames, or where the encoder puts one if it is None. On
    the same machine and library version, equal input gives equal bytes. On a terminal, shows a
    progress bar.
    """
    console = Console(stderr=True)
    with av.open(path, "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as clip:
        video = _video_stream(clip, size, coding)
        audio = _Track(clip, sound) if sound is not None else None
        for index, frame in enumerate(
            track(frames, path.name, count, console=console, disable=not sys.stderr.isatty())
        ):
            clip.mux(video.encode(frame))
            if audio:
                audio.advance((index + 1) / coding.fps)
        clip.mux(video.encode())
        if audio:
            audio.finish()


def encode_sound(path: Path, sound: Sound) -> None:
    """Write an audio-only file."""
    with av.open(path, "w", options={"fflags": "+bitexact"}) as clip:
        _Track(clip, sound).finish()


def video_frame(picture: Frame, pts: int) -> av.VideoFrame:
    """Convert an RGB image (height, width, 3), both sides even, to a YUV 4:2:0 frame."""
    yuv = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
    frame.pts = pts
    return frame


def stamp(picture: npt.NDArray[np.uint8], index: int) -> None:
    """Draw a frame number into the top left of an image (height, width[, 3]), in place.

    It is a row of square cells: white, black, then the number's bits, highest first, white for 1.
    """
    cell = picture.shape[1] / _CELLS
    bits = [1, 0] + [index >> bit & 1 for bit in reversed(range(_BITS))]
    for place, bit in enumerate(bits):
        picture[: round(cell), round(place * cell) : round((place + 1) * cell)] = 255 * bit


def read_stamp(picture: Frame) -> int:
    """Read the frame number stamped on an RGB image (height, width, 3), at any scale.

    Raises ValueError if there is no stamp.
    """
    cell = picture.shape[1] / _CELLS
    row = picture[int(cell / 2), [int((place + 0.5) * cell) for place in range(2 + _BITS)]]
    white, black, *bits = row.mean(axis=1).tolist()
    if white - black < _MIN_CONTRAST:
        raise ValueError("the image has no frame number")
    return int("".join(str(int(bit > (white + black) / 2)) for bit in bits), 2)


def _video_stream(
    clip: av.container.OutputContainer, size: tuple[int, int], coding: Coding
) -> av.VideoStream:
    stream = clip.add_stream(
        _VIDEO_CODEC,
        rate=coding.fps,
        options={
            "crf": str(coding.crf),
            "preset": coding.preset,
            **({} if coding.gop is None else {"sc_threshold": "0"}),
        },
    )
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    if coding.gop is not None:
        stream.gop_size = coding.gop
    stream.thread_count = 2  # fixed, because the output bytes depend on it
    stream.codec_context.time_base = coding.time_base or Fraction(1, coding.fps)
    if coding.rotation:
        stream.set_display_rotation(coding.rotation)
    return stream


class _Track:
    """A clip's audio: mono samples written as stereo AAC, in step with the video."""

    def __init__(self, clip: av.container.OutputContainer, sound: Sound) -> None:
        self._clip = clip
        self._sound = sound
        self._stream = clip.add_stream("aac", rate=RATE, layout="stereo")
        self._sample = 0

    def advance(self, seconds: float) -> None:
        """Write whole blocks up to a time."""
        while self._sample < min(seconds * RATE, len(self._sound)):
            block = self._sound[self._sample : self._sample + _AUDIO_BLOCK]
            frame = av.AudioFrame.from_ndarray(
                np.stack([block, block]), format="fltp", layout="stereo"
            )
            frame.rate, frame.pts = RATE, self._sample
            self._clip.mux(self._stream.encode(frame))
            self._sample += _AUDIO_BLOCK

    def finish(self) -> None:
        """Write the remaining samples."""
        self.advance(len(self._sound) / RATE)
        self._clip.mux(self._stream.encode())
