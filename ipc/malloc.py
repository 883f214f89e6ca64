"""Pages of memory: kept when freed while there is work, given back in a lull, mapped beforehand.

By default glibc returns the large blocks of a network's layers to the kernel at once, and takes a
page fault for each of their pages when the next layer wants as much: a tenth of a worker's time,
and more in a virtual machine. The numbers are those of <malloc.h>; see mallopt(3).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT_BYTES = 1 << 30
MOST_KEPT_BYTES = (1 << 31) - 1  # an int's largest

MADV_POPULATE_WRITE = 23  # <linux/mman.h>
POPULATED_BYTES = 1 << 20  # at a time
NICENESS = 10

_libc = ctypes.CDLL(None, use_errno=True)


def keep_freed() -> None:
    """Keep what this process frees for its next use; to be called before it works."""
    _libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
    _libc.mallopt(M_TRIM_THRESHOLD, MOST_KEPT_BYTES)


def give_back() -> None:
    """Return to the kernel what is free."""
    _libc.malloc_trim(0)


def populate(pages: mmap.mmap) -> None:
    """Map every page of a writable mapping, in a thread of its own, whose priority is lowered.

    Raises OSError: EINVAL on kernels before 5.14, EFAULT where there is no memory.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    first = ctypes.c_char.from_buffer(pages)
    for start in range(0, len(pages), POPULATED_BYTES):
        # mmap.madvise would let no other thread run Python meanwhile; through ctypes they can.
        address = ctypes.c_void_p(ctypes.addressof(first) + start)
        length = ctypes.c_size_t(min(POPULATED_BYTES, len(pages) - start))
        if _libc.madvise(address, length, MADV_POPULATE_WRITE):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
