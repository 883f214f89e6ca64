"""Reads frames with PyAV: every kind of file, and only the frames that must be decoded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import av
import numpy as np

from server.decoding.containers import decoded, limit_frame_size, open_container
from server.decoding.media_index import VideoIndex
from server.decoding.upright_rgb import AvPicture, Picture

SEEK_GAIN_FRAMES = 16


class PyavReader:
    """Reads with PyAV; decodes only the wanted frames and their reference frames.

    Damaged frames are skipped.
    """

    def __init__(self, path: str, index: VideoIndex, threads: int) -> None:
        self._path = path
        self._index = index
        self._threads = threads
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
        self._stream.codec_context.thread_count = self._threads
        limit_frame_size(self._stream)
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
