"""Reads frames with PyAV, or with decord if few are wanted but all must be decoded.

On 8-bit 4:2:0 video both give the same bytes, so only speed decides which one reads. PyAV reads all
other pixel formats, because its ffmpeg, and so the conversion, is newer.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import av
import decord
import numpy as np

from server.decoding.containers import decoded, open_container
from server.decoding.media_index import VideoIndex
from server.decoding.rgb import AvPicture, Picture, RgbPicture

SEEK_GAIN_FRAMES = 16
THREADS = min(4, len(os.sched_getaffinity(0)))  # each delays one frame, and a seek waits for all


class Disagreement(Exception):
    """decord and the container disagree about a file's frames."""


class DecordReader:
    """Reads by `next` and `skip_frames`; must be parked before every wait.

    decord decodes ahead without bound while nobody reads; after a seek, it stops until a read.
    Raises decord.DECORDError on files that decord cannot read, or Disagreement.
    """

    def __init__(self, path: str, index: VideoIndex) -> None:
        self._reader = decord.VideoReader(path, num_threads=THREADS)
        self._next: int | None = 0
        times = np.asarray(self._reader.get_frame_timestamp(range(len(self._reader))))
        if len(times) != len(index.pts) or np.abs(times[:, 0] * 1000 - index.times_ms).max() > 1:
            raise Disagreement(path)

    def read(self, wanted: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Yield the frames with these ascending indices."""
        for frame_index in wanted:
            if self._next is None:
                self._reader.seek_accurate(frame_index)
            elif frame_index != self._next:
                self._reader.skip_frames(frame_index - self._next)
            try:
                picture = RgbPicture(self._reader.next().asnumpy())
            except StopIteration:
                raise Disagreement("decord ran out of frames") from None
            self._next = frame_index + 1
            yield frame_index, picture

    def park(self) -> None:
        """Stop decoding until the next `read`."""
        self._reader.seek(0)
        self._next = None

    def close(self) -> None:
        """Close the file."""
        del self._reader


class AvReader:
    """Reads with PyAV; decodes only the wanted frames and their reference frames.

    Damaged frames are skipped.
    """

    def __init__(self, path: str, index: VideoIndex) -> None:
        self._path = path
        self._index = index
        self._seekable = True
        self._current: av.VideoFrame | None = None
        self._wanted: set[int] = set()
        self._open()

    def read(self, wanted: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Yield the frames with these ascending indices, as far as they can be decoded."""
        if self._wanted:
            self._current = None  # an aborted read may have skipped frames that are wanted now
        self._wanted = {int(pts) for pts in self._index.pts[list(wanted)]}
        for frame_index in wanted:
            pts = int(self._index.pts[frame_index])
            self._approach(frame_index)
            while self._current is not None and self._pts(self._current) < pts:
                self._advance()
            if self._current is not None and self._pts(self._current) == pts:
                yield frame_index, AvPicture(self._current, self._index.rotation)
        self._wanted = set()

    def park(self) -> None:
        """Do nothing: PyAV does not decode ahead."""

    def close(self) -> None:
        """Close the file now; the reference cycle with its generator would keep it open."""
        self._current = None
        self._frames.close()
        self._container.close()

    def _open(self) -> None:
        self._container = open_container(self._path)
        self._stream = self._container.streams[self._index.stream_index]
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = THREADS
        self._frames = decoded(self._container, self._stream, self._before)
        self._advance()

    def _before(self, packet: av.Packet) -> None:
        """Skip unwanted non-reference frames.

        Frames after the last wanted one are decoded in any case: they may be wanted next.
        """
        unwanted = packet.pts is not None and packet.pts not in self._wanted
        if unwanted and packet.pts < max(self._wanted, default=packet.pts):
            self._stream.codec_context.skip_frame = "NONREF"
        else:
            self._stream.codec_context.skip_frame = "DEFAULT"

    def _approach(self, frame_index: int) -> None:
        """Seek if that saves decoding: backwards, or past keyframes."""
        if self._current is None:
            position = len(self._index.pts)
        else:
            position = int(np.searchsorted(self._index.pts, self._pts(self._current)))
        last_key = bisect_right(self._index.keyframes, frame_index) - 1
        keyframe = int(self._index.keyframes[last_key]) if last_key >= 0 else 0
        if position <= frame_index and (
            keyframe - position < SEEK_GAIN_FRAMES or not self._seekable
        ):
            return
        if self._seekable:
            self._seek(keyframe)
        if self._current is None or self._pts(self._current) > self._index.pts[frame_index]:
            self._seekable = False
            self.close()
            self._open()

    def _seek(self, keyframe: int) -> None:
        self._container.seek(int(self._index.pts[keyframe]), stream=self._stream)
        self._frames = decoded(self._container, self._stream, self._before)
        self._advance()

    def _advance(self) -> None:
        self._current = next(self._frames, None)

    @staticmethod
    def _pts(frame: av.VideoFrame) -> int:
        return int(frame.dts if frame.pts is None else frame.pts)
