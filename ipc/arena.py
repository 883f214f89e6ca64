"""Pixels and sound in shared memory: the arena, and the references that travel in its place.

The arena is one file in /dev/shm, reserved whole at start, so that a full /dev/shm is an error at
start and not a SIGBUS later. The front creates and unlinks it; decoders map it to write, workers
to read. It has no header: the front alone knows which bytes are in use (`server.frame_pool`), and
a reference carries all that a reader needs.

    offset 0                                                              size_bytes
    +----------------+--------+----------------+---------------------+----------+
    | frame 0        |(free)  | frame 30       | sound               | (free)   |
    | 1080x1920x3 u8 |        | 1080x1920x3 u8 | samples x int16     |          |
    +----------------+--------+----------------+---------------------+----------+
    ^ every slot begins on a page (4096 bytes); its end is rounded up to one

A slot holds either one RGB frame, rows from the top, (height, width, 3) uint8 without padding, or
mono sound at 16 kHz as int16.
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
from ipc.messages import AudioRef, FrameRef

SHM = Path("/dev/shm")
PREFIX = "eioku-"
PAGE_BYTES = 4096
SAMPLE_RATE = 16_000

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

log = logging.getLogger(__name__)


def slot_bytes(size_bytes: int) -> int:
    """The room that a slot of `size_bytes` takes: whole pages."""
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


class ArenaView:
    """A mapping of the arena; attaches to it by name and never unlinks it.

    Raises FileNotFoundError where the front that made it is gone.
    """

    def __init__(self, name: str, *, writable: bool = False) -> None:
        fd = os.open(SHM / name, os.O_RDWR if writable else os.O_RDONLY)
        try:
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(fd, 0, access=access)
        finally:
            os.close(fd)

    def populate(self) -> None:
        """Map every page now, and not each when it is first written; lowers the thread's priority.

        A new page costs a fault, its clearing, and in a virtual machine often memory that the host
        has to find: up to 15 µs for 4 kB, as long as decoding what goes there.
        """
        try:
            malloc.populate(self._map)
        except OSError as error:  # a kernel before 5.14, or /dev/shm is full and the start ends
            log.info("frame pool not populated", extra={"reason": error.strerror})

    def frame(self, ref: FrameRef) -> Pixels:
        """The (height, width, 3) RGB pixels of `ref`, not copied."""
        return self.pixels(ref.offset, ref.height, ref.width)

    def pixels(self, offset: int, height: int, width: int) -> Pixels:
        """The (height, width, 3) pixels from `offset`, not copied."""
        return np.ndarray((height, width, 3), np.uint8, self._map, offset)

    def audio(self, ref: AudioRef) -> Samples:
        """The (samples,) int16 sound of `ref`, not copied."""
        return self.samples(ref.offset, ref.samples)

    def samples(self, offset: int, count: int) -> Samples:
        """The (count,) int16 values from `offset`, not copied."""
        return np.ndarray((count,), np.int16, self._map, offset)


class Arena:
    """The arena's owner: creates the file, reserves all its pages, and unlinks it.

    It holds a lock on the file as long as it lives. A pid would not do to tell whether an arena has
    an owner: containers that share /dev/shm number their processes each on their own.
    """

    def __init__(self, size_bytes: int) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}-frames"
        self.size_bytes = slot_bytes(size_bytes)
        self._fd = -1

    def create(self) -> None:
        """Make the file, for others to map; nothing is to be written before `reserve` is done."""
        self._fd = os.open(SHM / self.name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(self._fd, self.size_bytes)

    def reserve(self) -> None:
        """Take every page, which lasts some tenths of a second for each GB.

        Raises OSError (ENOSPC) where /dev/shm cannot hold them; the arena is gone then.
        """
        try:
            os.posix_fallocate(self._fd, 0, self.size_bytes)
        except OSError:
            self.unlink()
            raise

    def unlink(self) -> None:
        """Remove the name; the memory goes when the last process unmaps it."""
        (SHM / self.name).unlink(missing_ok=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sweep() -> list[str]:
    """Unlink the arenas whose fronts are dead, and return their names."""
    swept = []
    for path in SHM.glob(f"{PREFIX}*-frames"):
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError:
            continue  # another user's, or just gone
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            swept.append(path.name)
        except BlockingIOError:
            continue  # its front lives
        finally:
            os.close(fd)
    return swept
