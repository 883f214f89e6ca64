"""Video clips of stamped frames, in any codec and container, with times that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from bench.clips import stories
from bench.clips.encoding import stamp
from bench.clips.scenes import play
from bench.clips.shapes import Frame

RATE = 30  # pictures are drawn at this rate, whatever the times they are shown at


def stamped_takes(film: Film) -> Iterator[Frame]:
    """Shapes, a card and a photograph in turn, each for 30 frames, with the frames' numbers."""
    seconds = film.frames / RATE + 1  # the last scene may be cut short
    scenes = stories.takes(film.seed, seconds, 1, film.width, film.height)
    for index, picture in enumerate(islice(play(scenes, RATE), film.frames)):
        stamp(picture, index)
        yield picture


@dataclass(frozen=True)
class Film:
    """One video stream: what it shows, how it is coded, and when each frame is shown.

    `draw` gives the upright frames, RGB (height, width, 3). By default, frame i carries the
    stamp i (`bench.clips.generate.read_stamp`), and a cut comes every 30 frames. Width and height
    are those of the upright picture. `pts` are in units of `time_base`; left out, frame i is
    shown at i. `rotation` is as in `bench.clips.encoding.Coding`. The first `hidden` frames are
    in the file, but its edit list excludes them from presentation.
    """

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    width: int = 320
    height: int = 180
    frames: int = 60
    seed: int = 1
    draw: Callable[[Film], Iterator[Frame]] = stamped_takes
    gop: int = 30
    rotation: int = 0
    time_base: Fraction = Fraction(1, RATE)
    pts: tuple[int, ...] = ()
    hidden: int = 0

    @property
    def times_ms(self) -> list[float]:
        """When each presented frame is shown."""
        return [float(pts * self.time_base * 1000) for pts in self.all_pts[self.hidden :]]

    @property
    def stamps(self) -> list[int]:
        """The number that each presented frame carries."""
        return list(range(self.hidden, self.frames))

    @property
    def all_pts(self) -> tuple[int, ...]:
        """The PTS of each frame."""
        return self.pts or tuple(range(self.frames))

    def coded_frames(self) -> Iterator[av.VideoFrame]:
        """The frames as they are stored: turned, and in the pixel format."""
        for pts, picture in zip(self.all_pts, self.draw(self), strict=True):
            stored = np.ascontiguousarray(np.rot90(picture, -(self.rotation // 90)))
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            frame = frame.reformat(format=self.pixel_format)
            frame.pts, frame.time_base = pts, self.time_base
            yield frame


def write_films(path: Path, films: list[Film]) -> None:
    """Encode films into one file, a stream for each; the first says how the file is written."""
    options = {"fflags": "+bitexact", **films[0].muxer}
    if path.suffix == ".mp4":
        options["movflags"] = "+faststart"  # the index is in front: a cut file can be opened
    with av.open(path, "w", options=options) as container:
        streams = [_stream(container, film) for film in films]
        sources = [film.coded_frames() for film in films]
        while sources:
            for stream, source in zip(list(streams), list(sources), strict=True):
                frame = next(source, None)
                container.mux(stream.encode(frame))
                if frame is None:
                    streams.remove(stream)
                    sources.remove(source)


def _stream(container: av.container.OutputContainer, film: Film) -> av.VideoStream:
    rate = RATE if film.pts else 1 / film.time_base
    stream = container.add_stream(film.codec, rate=rate, options=film.options)
    turned = film.rotation % 180
    stream.width = film.height if turned else film.width
    stream.height = film.width if turned else film.height
    stream.pix_fmt = film.pixel_format
    stream.gop_size = film.gop
    stream.thread_count = 1  # fixed: the bytes depend on it
    stream.codec_context.time_base = film.time_base
    stream.disposition = Disposition.default  # on equal terms: the best stream is the larger one
    if film.rotation:
        stream.set_display_rotation(film.rotation)
    return stream
