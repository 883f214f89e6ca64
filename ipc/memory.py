"""What the C library does with freed memory: kept while there is work, given back in a lull.

By default glibc returns the large blocks of a network's layers to the kernel at once, and takes a
page fault for each of their pages when the next layer wants as much: a tenth of a worker's time,
and more in a virtual machine. The numbers are those of <malloc.h>; see mallopt(3).
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT_BYTES = 1 << 30
MOST_KEPT_BYTES = (1 << 31) - 1  # an int's largest

_libc = ctypes.CDLL(None)


def keep_freed() -> None:
    """Keep what this process frees for its next use; to be called before it works."""
    _libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
    _libc.mallopt(M_TRIM_THRESHOLD, MOST_KEPT_BYTES)


def give_back() -> None:
    """Return to the kernel what is free."""
    _libc.malloc_trim(0)
