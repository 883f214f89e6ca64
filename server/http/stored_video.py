"""A video that is being received: a temporary file without a name, and its hash so far."""

from __future__ import annotations

import asyncio
import errno
import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import IO

import xxhash

from ipc.files import FileRef, file_ref
from server.errors import Problem

BLOCK_BYTES = 1 << 20

log = logging.getLogger(__name__)


class StoredVideo:
    """Receives at most `max_bytes`; it hashes them, and writes them to the file in blocks.

    `name` is what error messages call it. Its methods raise Problem: upload_too_large, and
    insufficient_storage if the disk is full.
    """

    def __init__(self, file: IO[bytes], max_bytes: int, name: str) -> None:
        self.size_bytes = 0
        self._file = file
        self._max_bytes = max_bytes
        self._name = name
        self._digest = xxhash.xxh64()
        self._unwritten = bytearray()

    @property
    def input_hash(self) -> str:
        """XXH64 of what is written, 16 hex digits."""
        return self._digest.hexdigest()

    def expect(self, size_bytes: int) -> None:
        """Raise Problem if a video of this size is too large."""
        if size_bytes > self._max_bytes:
            raise too_large(self._max_bytes, self._name)

    def append(self, data: bytes) -> None:
        """Take data, without writing it yet."""
        self.size_bytes += len(data)
        self.expect(self.size_bytes)
        self._unwritten += data

    async def write_blocks(self) -> None:
        """Write what was taken, if it is at least a block."""
        if len(self._unwritten) >= BLOCK_BYTES:
            await self._write()

    async def write(self, data: bytes) -> None:
        """Take data, and write it if it is at least a block."""
        self.append(data)
        await self.write_blocks()

    async def restart(self) -> None:
        """Forget what was received."""
        self.size_bytes = 0
        self._unwritten.clear()
        self._digest.reset()
        await self._in_thread(self._truncate)

    async def complete(self) -> FileRef:
        """Write the rest; return the file."""
        await self._write()
        await self._in_thread(self._file.flush)
        return file_ref(self._file.fileno())

    async def _write(self) -> None:
        block, self._unwritten = self._unwritten, bytearray()

        def write() -> None:
            self._file.write(block)
            self._digest.update(block)

        await self._in_thread(write)

    def _truncate(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    async def _in_thread(self, work: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            log.warning(f"{self._name} refused", extra={"reason": str(error)})
            raise Problem(
                "insufficient_storage",
                f"The service has no room for the {self._name}: the file system of its TMPDIR is "
                "full. Try again later, or name a file on the service's machine with video_path.",
            ) from None


@asynccontextmanager
async def stored_video(max_bytes: int, name: str) -> AsyncIterator[StoredVideo]:
    """An empty video. The file has no name, so it is deleted when the block ends."""
    with tempfile.TemporaryFile() as file:
        try:
            yield StoredVideo(file, max_bytes, name)
        finally:
            # In a thread: it frees the blocks, and waits for a write whose awaiter was cancelled.
            await asyncio.shield(asyncio.to_thread(_close, file))


def _close(file: IO[bytes]) -> None:
    """Close the file; what cannot be written any more is lost, as the whole file is."""
    with suppress(OSError):
        file.close()


def too_large(max_bytes: int, name: str) -> Problem:
    """The refusal of a video of more than `max_bytes`."""
    return Problem(
        "upload_too_large",
        f"The {name} is larger than {max_bytes} bytes, the limit set by MAX_UPLOAD_MB. Send "
        "a shorter video, or name a file on the service's machine with video_path.",
    )
