"""A file that a decoder keeps open: its index, and a reader for each engine that was used."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence

import decord

from ipc.child import TaskError
from ipc.files import FileChanged, FileRef, file_ref, open_ref
from ipc.messages import Target
from server.decoding.containers import THREADS
from server.decoding.decord_reader import DecordReader, Disagreement
from server.decoding.engine_choice import DECORD, PYAV, choose_engine, decord_reads
from server.decoding.media_index import MediaIndex, read_index
from server.decoding.pyav_reader import PyavReader
from server.decoding.upright_rgb import Picture

log = logging.getLogger(__name__)


class OpenFile:
    """An open file; its readers are created on first use and kept for the next chunk."""

    def __init__(self, file: FileRef, threads: int = THREADS) -> None:
        """A codec gets so many `threads`. Raises OSError, FileChanged, child.TaskError."""
        self.ref = file
        self._threads = threads
        self._fd = open_ref(file)
        try:
            self.index: MediaIndex = read_index(self.path)
        except BaseException as error:
            changed = not self.unchanged
            os.close(self._fd)
            if changed and isinstance(error, TaskError):
                raise FileChanged from None
            raise
        self.engine = ""
        self._readers: dict[str, DecordReader | PyavReader] = {}
        self._decord_reads = self.index.video is not None and decord_reads(self.index.video)

    def read(self, engine: str, wanted: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Yield frames by index; PyAV takes over if decord fails. `engine` is the last one used."""
        done = -1
        if engine == DECORD and self._decord_reads:
            try:
                self.engine = DECORD
                for done, picture in self._reader(DECORD).read(wanted):
                    yield done, picture
            except (decord.DECORDError, Disagreement) as error:
                log.warning("decord failed", extra={"reason": str(error).splitlines()[0]})
                self._decord_reads = False
                if (reader := self._readers.pop(DECORD, None)) is not None:
                    reader.close()
            else:
                return
        rest = [frame_index for frame_index in wanted if frame_index > done]
        self.engine = PYAV
        yield from self._reader(PYAV).read(rest)

    def faster_engine(self, targets: Sequence[Target]) -> str:
        """The engine to prefer for these frames, which are in ascending order."""
        if self.index.video is None:
            return PYAV
        info = self.index.info()
        wanted = list(dict.fromkeys(target.frame_index for target in targets))
        scaled = any((t.height, t.width) != (info.height, info.width) for t in targets)
        return choose_engine(self.index.video, wanted, self.engine, scaled=scaled)

    @property
    def path(self) -> str:
        """A path to the file for libraries that cannot take a descriptor."""
        return f"/proc/self/fd/{self._fd}"

    @property
    def unchanged(self) -> bool:
        """Whether the content is still that of the index."""
        return file_ref(self._fd).identity == self.ref.identity

    @property
    def deleted(self) -> bool:
        """Whether the file has no name any more: an upload's disk space waits to be freed."""
        return os.fstat(self._fd).st_nlink == 0 and not os.path.lexists(self.ref.path)

    def close(self) -> None:
        """Close the file."""
        for reader in self._readers.values():
            reader.close()
        os.close(self._fd)

    def park(self) -> None:
        """Stop decoding until the next `read`."""
        for reader in self._readers.values():
            reader.park()

    def _reader(self, engine: str) -> DecordReader | PyavReader:
        if engine not in self._readers:
            if self.index.video is None:
                raise TaskError("undecodable_video", "The file has no video stream.")
            kind = DecordReader if engine == DECORD else PyavReader
            self._readers[engine] = kind(self.index.path, self.index.video, self._threads)
        return self._readers[engine]
