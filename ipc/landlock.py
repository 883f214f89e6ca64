"""Landlock: takes rights to files, TCP ports and other processes from this thread for ever.

The structs and numbers are those of <linux/landlock.h>; see landlock(7). It holds for the threads
that this one starts from then on, not for others that run already.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, on every architecture
VERSION_FLAG = 1
PATH_BENEATH = 1

READ_FILE, READ_DIR = 1 << 2, 1 << 3
WRITE_FILE = 1 << 1
# By the version of the interface that brought it. Rights to files: execute, write, remove, make;
# then refer, truncate, and ioctl of devices. Rights to TCP: bind, connect. Scopes: abstract Unix
# sockets, signals.
FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
TCP_RIGHTS = {4: 0b11}
SCOPES = {6: 0b11}

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The version of the kernel's interface; raises OSError if it has none, or none enabled."""
    return _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_FLAG))


def restrict(writable: Sequence[str]) -> None:
    """Allow only reading of files, and writing to the files `writable`; raises OSError.

    Forbids execution, TCP, and signals to processes outside. A process so restricted can neither
    debug others nor open their /proc/<pid>/fd. Call after PR_SET_NO_NEW_PRIVS.
    """
    known = version()
    files = _up_to(known, FILE_RIGHTS) & ~READ_FILE & ~READ_DIR
    # The kernel ignores fields that it does not know, if they are zero.
    rights = struct.pack("QQQ", files, _up_to(known, TCP_RIGHTS), _up_to(known, SCOPES))
    ruleset = _call(CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), ctypes.c_uint32(0))
    try:
        for path in writable:
            _allow_writing(ruleset, path)
        _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow_writing(ruleset: int, path: str) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", WRITE_FILE, fd)  # packed: no padding
        _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(fd)


def _up_to(known: int, by_version: dict[int, int]) -> int:
    return sum(bits for since, bits in by_version.items() if since <= known)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
