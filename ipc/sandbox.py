"""Takes from a child process what it does not need, before it reads a client's file.

`enter` is called in the only thread, before any library is loaded: all threads inherit it. A
measure that this kernel does not have is left out, and reported.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import struct
from collections.abc import Callable

import msgspec

from ipc import landlock, seccomp

NO_NEW_PRIVS = 38  # <linux/prctl.h>
CAPSET, CAP_VERSION_3, CAP_DAC_READ_SEARCH = 126, 0x20080522, 1 << 2
IN_FORCE = "in force"

log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)


class Limits(msgspec.Struct, frozen=True):
    """What is left to a child: the files that it may write to, and its memory.

    `data_bytes` limits the memory that is the process's own. Files that are mapped, the arena too,
    do not count.
    """

    writable: tuple[str, ...]
    data_bytes: int


def enter(limits: Limits) -> dict[str, str]:
    """Apply every measure; return for each `in force`, or why it was not possible."""
    measures: dict[str, Callable[[], None]] = {
        "no_new_privileges": _no_new_privileges,
        "core_dumps": lambda: _limit(resource.RLIMIT_CORE, 0),
        "memory": lambda: _limit(resource.RLIMIT_DATA, limits.data_bytes),
        "files_and_tcp": lambda: landlock.restrict(limits.writable),
        "capabilities": _drop_capabilities,
        "system_calls": seccomp.restrict,
    }
    return {name: _outcome(name, measure) for name, measure in measures.items()}


def _outcome(name: str, measure: Callable[[], None]) -> str:
    try:
        measure()
    except (OSError, ValueError) as error:
        log.warning("sandbox incomplete", extra={"measure": name, "reason": str(error)})
        return f"not possible: {error.strerror if isinstance(error, OSError) else error}"
    return IN_FORCE


def _no_new_privileges() -> None:
    _checked(_libc.prctl(*map(ctypes.c_ulong, (NO_NEW_PRIVS, 1, 0, 0, 0))))


def _limit(kind: int, most: int) -> None:
    """Lower a limit, soft and hard."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most))


def _drop_capabilities() -> None:
    """Keep none but root's right to read any file, without which it cannot read other users'."""
    header = struct.pack("Ii", CAP_VERSION_3, 0)
    current = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; twice 32 bits
    _checked(_libc.syscall(ctypes.c_long(CAPSET - 1), header, current))
    kept = struct.unpack("6I", current.raw)[1] & CAP_DAC_READ_SEARCH
    _checked(_libc.syscall(ctypes.c_long(CAPSET), header, struct.pack("6I", kept, kept, *[0] * 4)))


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
