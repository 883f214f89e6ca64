"""What a process in the sandbox may not do, tried one by one."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

PTRACE_ATTACH, IO_URING_SETUP = 16, 425
UNSHARE_USER = 0x10000000

_libc = ctypes.CDLL(None, use_errno=True)


def attempts(folder: Path, outside: int) -> list[str]:
    """The names of those that succeed; `folder` has a file `victim`, `outside` is a process."""
    victim = folder / "victim"
    tried: dict[str, Callable[[], object]] = {
        "overwrite": lambda: victim.open("w"),
        "append": lambda: victim.open("a"),
        "truncate": lambda: os.truncate(victim, 0),
        "create": lambda: (folder / "new").touch(),
        "folder": lambda: (folder / "new-folder").mkdir(),
        "link": lambda: (folder / "link").symlink_to(victim),
        "rename": lambda: victim.rename(folder / "renamed").rename(victim),
        "mode": lambda: victim.chmod(0o777),
        "times": lambda: os.utime(victim),
        "delete": lambda: victim.unlink(),
        "socket": lambda: socket.socket(),
        "Unix socket": lambda: socket.socket(socket.AF_UNIX),
        "pair": lambda: socket.socketpair(),
        "fork": _fork,
        "execute": lambda: os.execv("/bin/true", ["true"]),
        "signal": lambda: os.kill(outside, 0),
        "file of another process": lambda: os.open(f"/proc/{outside}/fd/0", os.O_RDONLY),
        "memory of another process": lambda: os.open(f"/proc/{outside}/mem", os.O_RDONLY),
        "environment of another process": lambda: Path(f"/proc/{outside}/environ").read_bytes(),
        "debugger": lambda: _checked(_libc.ptrace(PTRACE_ATTACH, outside, 0, 0)),
        "io_uring": lambda: _checked(_libc.syscall(IO_URING_SETUP, 1, bytes(120))),
        "namespace": lambda: _checked(_libc.unshare(UNSHARE_USER)),
        "more memory": lambda: resource.setrlimit(resource.RLIMIT_DATA, (-1, -1)),
        "core dump": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    }
    return [name for name, attempt in tried.items() if _succeeds(attempt)]


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (OSError, ValueError):  # setrlimit raises ValueError
        return False
    return True


def _fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
