"""Memory pages: kept when freed during work, returned to the kernel when idle, mapped in advance.

By default, glibc returns the large blocks of a network's layers to the kernel at once. The next
layer of that size then takes a page fault per page: 10 % of a worker's time, and more in a virtual
machine. The numbers are those of <malloc.h>; see mallopt(3).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT_BYTES = 1 << 30
MOST_KEPT_BYTES = (1 << 31) - 1  # INT_MAX

MADV_POPULATE_WRITE = 23  # <linux/mman.h>
POPULATED_BYTES = 1 << 20  # per call
NICENESS = 10

_libc = ctypes.CDLL(None, use_errno=True)


def keep_freed() -> None:
    """Keep freed memory for reuse by this process. Call before any work."""
    _libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
    _libc.mallopt(M_TRIM_THRESHOLD, MOST_KEPT_BYTES)


def give_back() -> None:
    """Return free memory to the kernel."""
    _libc.malloc_trim(0)


def populate(pages: mmap.mmap) -> None:
    """Map every page of a writable mapping, in a separate thread with lowered priority.

    Raises OSError: EINVAL on kernels before 5.14, EFAULT if there is no memory.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    first = ctypes.c_char.from_buffer(pages)
    for start in range(0, len(pages), POPULATED_BYTES):
        # mmap.madvise holds the GIL during the call; a ctypes call releases it.
        address = ctypes.c_void_p(ctypes.addressof(first) + start)
        length = ctypes.c_size_t(min(POPULATED_BYTES, len(pages) - start))
        if _libc.madvise(address, length, MADV_POPULATE_WRITE):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
