"""`python -m small_shm MODULE`: a service with a small /dev/shm of its own, in a mount namespace.

SHM_MB is its size, SHM_OPTIONS are further options of its tmpfs. A user other than root gets the
namespace with a user namespace. Where no namespace is permitted, as in many containers, the front
gets the errors that it would get (`pretended_shm`). `SmallShm` is the test's side.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pretended_shm
from running import Server

PROBE_S = 60
REFILL_S = 0.001
MOST_BYTES = 16 << 20
BLOCK = bytes(1 << 12)


def unshare() -> list[str]:
    """The command that runs another one in a mount namespace of its own."""
    return ["unshare", "--mount" if os.geteuid() == 0 else "-Urm"]


def permitted() -> bool:
    """Whether this machine lets this user create the namespace."""
    mount = ["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
    with suppress(FileNotFoundError):
        done = subprocess.run([*unshare(), *mount], capture_output=True, timeout=PROBE_S)
        return done.returncode == 0
    return False


class SmallShm:
    """What others do with the /dev/shm of a running server."""

    def __init__(self, server: Server, pretended: Path) -> None:
        self._folder = Path("/proc", str(server.process.pid), "root", "dev", "shm")
        if not permitted():
            self._folder = pretended

    def fill(self, name: str = "filled") -> None:
        """Take all that is free."""
        with (self._folder / name).open("ab", buffering=0) as file, suppress(OSError):
            while file.tell() < MOST_BYTES:
                file.write(BLOCK)

    @contextmanager
    def kept_full(self) -> Iterator[None]:
        """Take whatever becomes free; in the end, give all back."""
        ended = Event()

        def keep_filling() -> None:
            while not ended.wait(REFILL_S):
                self.fill("kept-full")

        self.fill("kept-full")
        filler = Thread(target=keep_filling)
        filler.start()
        try:
            yield
        finally:
            ended.set()
            filler.join(PROBE_S)
            for name in ("filled", "kept-full"):
                (self._folder / name).unlink(missing_ok=True)


def main() -> None:
    """Replace this process with the service."""
    module, size_mb, options = sys.argv[1], os.environ["SHM_MB"], os.environ["SHM_OPTIONS"]
    if not permitted():
        pretended_shm.run(module, int(size_mb), "ro" in options)
        return
    mount = f"mount -t tmpfs -o size={size_mb}m,{options} tmpfs /dev/shm"
    command = [*unshare(), "sh", "-c", f'{mount} && exec "{sys.executable}" -m {module}']
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
