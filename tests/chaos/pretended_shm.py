"""A front to which /dev/shm seems small, read-only or full, where no real one can be made so.

It is full for children that start while the file `kept-full` is in the folder SHM_PRETENDED.
"""

from __future__ import annotations

import errno
import os
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ipc.channel import SPAWN

SHM = Path("/dev/shm")


def run(module: str, size_mb: int, read_only: bool) -> None:
    """Run the module as the main program."""
    kept_full = Path(os.environ["SHM_PRETENDED"], "kept-full")
    queue, access = SPAWN.Queue, os.access

    def full_queue(capacity: int) -> Any:
        if kept_full.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return queue(capacity)

    SPAWN.Queue = full_queue  # type: ignore[method-assign]
    os.statvfs = lambda path: SimpleNamespace(f_bavail=size_mb, f_frsize=1 << 20)  # type: ignore
    os.access = lambda path, mode: not (path == SHM and read_only) and access(path, mode)  # type: ignore
    runpy.run_module(module, run_name="__main__")
