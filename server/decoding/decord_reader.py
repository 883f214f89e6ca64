"""Reads frames with decord, which is fast where few frames are wanted but all must be decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import decord
import numpy as np

from server.decoding.media_index import VideoIndex
from server.decoding.upright_rgb import Picture, RgbPicture


class Disagreement(Exception):
    """decord and the container disagree about a file's frames."""


class DecordReader:
    """Reads by `next` and `skip_frames`; must be parked before every wait.

    decord decodes ahead without bound while nobody reads; after a seek, it stops until a read.
    Raises decord.DECORDError on files that decord cannot read, or Disagreement.
    """

    def __init__(self, path: str, index: VideoIndex, threads: int) -> None:
        try:
            self._reader = decord.VideoReader(path, num_threads=threads)
        except RuntimeError as error:  # which DECORDError is not always
            raise Disagreement(f"decord cannot open the file: {error}") from None
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
