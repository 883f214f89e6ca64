"""Pixels and audio in shared memory: the arena, and the references to it that messages carry.

The arena is one file in /dev/shm. It is reserved in full at start, so that a full /dev/shm is an
error at start and not a SIGBUS later. The front creates and unlinks it; decoders map it writable,
workers read-only. It has no header: only the front tracks which bytes are in use
(`server.frame_pool`), and a reference carries all that a reader needs.

    offset 0                                                              size_bytes
    +----------------+--------+----------------+---------------------+----------+
    | frame 0        |(free)  | frame 30       | audio               | (free)   |
    | 1080x1920x3 u8 |        | 1080x1920x3 u8 | samples x int16     |          |
    +----------------+--------+----------------+---------------------+----------+
    ^ every slot starts on a page (4096 bytes); its end is rounded up to a page

A slot holds either one RGB frame, (height, width, 3) uint8, top row first, without padding, or
mono 16 kHz audio as int16.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import secrets
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ipc import malloc
from ipc.subjects import AudioRef, FrameRef

SHM = Path("/dev/shm")
PREFIX = "eioku-"
PAGE_BYTES = 4096
SAMPLE_RATE = 16_000

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

log = logging.getLogger(__name__)


def slot_bytes(size_bytes: int) -> int:
    """The size of a slot for `size_bytes`, rounded up to whole pages."""
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


class ArenaView:
    """A mapping of the arena; attaches to it by name and never unlinks it.

    Raises FileNotFoundError if the front has unlinked it.
    """

    def __init__(self, name: str, *, writable: bool = False) -> None:
        fd = os.open(SHM / name, os.O_RDWR if writable else os.O_RDONLY)
        try:
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(fd, 0, access=access)
        finally:
            os.close(fd)

    def populate(self) -> None:
        """Map every page now, not at its first write; lowers the calling thread's priority.

        A new page costs a fault, its zeroing and, in a virtual machine, often memory that the host
        must find first: up to 15 µs per 4 kB, as long as decoding the pixels for it.
        """
        try:
            malloc.populate(self._map)
        except OSError as error:  # kernel before 5.14, or /dev/shm is full and startup fails
            log.info("frame pool not populated", extra={"reason": error.strerror})

    def frame(self, ref: FrameRef) -> Pixels:
        """The (height, width, 3) RGB pixels of `ref`, without a copy."""
        return self.pixels(ref.offset, ref.height, ref.width)

    def pixels(self, offset: int, height: int, width: int) -> Pixels:
        """The (height, width, 3) pixels at `offset`, without a copy."""
        return np.ndarray((height, width, 3), np.uint8, self._map, offset)

    def audio(self, ref: AudioRef) -> Samples:
        """The (samples,) int16 audio of `ref`, without a copy."""
        return self.samples(ref.offset, ref.samples)

    def samples(self, offset: int, count: int) -> Samples:
        """The (count,) int16 values at `offset`, without a copy."""
        return np.ndarray((count,), np.int16, self._map, offset)


class Arena:
    """The arena's owner: creates the file, reserves all its pages, and unlinks it.

    It holds a lock on the file while it lives. A pid cannot show whether an arena has an owner:
    containers that share /dev/shm have separate pid namespaces.
    """

    def __init__(self, size_bytes: int) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}-frames"
        self.size_bytes = slot_bytes(size_bytes)
        self._fd = -1

    def create(self) -> None:
        """Create the file for others to map. Nothing may be written before `reserve` returns."""
        self._fd = os.open(SHM / self.name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(self._fd, self.size_bytes)

    def reserve(self) -> None:
        """Reserve every page, which takes some tenths of a second per GB.

        Raises OSError (ENOSPC) and unlinks the arena if /dev/shm cannot hold it.
        """
        try:
            os.posix_fallocate(self._fd, 0, self.size_bytes)
        except OSError:
            self.unlink()
            raise

    def unlink(self) -> None:
        """Remove the name; the memory is freed when the last process unmaps it."""
        (SHM / self.name).unlink(missing_ok=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sweep() -> list[str]:
    """Unlink the arenas of dead fronts and return their names."""
    swept = []
    for path in SHM.glob(f"{PREFIX}*-frames"):
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError:
            continue  # another user's file, or already deleted
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            swept.append(path.name)
        except BlockingIOError:
            continue  # its front is alive
        finally:
            os.close(fd)
    return swept
