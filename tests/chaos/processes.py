"""The processes of a server: which they are, what they leave, when they end; and its clients."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from running import Server

ENDED_DEADLINE_S = 60
ANSWER_DEADLINE_S = 240
SEMAPHORE = re.compile(r"/dev/shm/sem\.\S+")
SHM = Path("/dev/shm")


def children(server: Server) -> list[int]:
    """All processes that the front has started, multiprocessing's resource tracker included."""
    return [pid for pid, parent in _parents() if parent == server.process.pid]


def tracker(server: Server) -> int:
    """The pid of multiprocessing's resource tracker."""
    (pid,) = [pid for pid in children(server) if "resource_tracker" in _command(pid)]
    return pid


def semaphores(server: Server) -> list[Path]:
    """Those of the queues of a server that runs."""
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    return [Path(name) for name in SEMAPHORE.findall(maps)]


def arenas(server: Server) -> list[Path]:
    """The frame pools that a server has in /dev/shm."""
    return list(SHM.glob(f"eioku-{server.process.pid}-*"))


def new_connections(server: Server) -> httpx.Client:
    """A client that sends each request on a connection of its own; several threads may use it."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=server.url, timeout=ANSWER_DEADLINE_S, limits=limits)


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "XZ"
    except OSError:
        return False


@contextmanager
def must_end(pids: list[int]) -> Iterator[None]:
    """The processes live at first; after the block, wait for their end."""
    watched = {pid: os.pidfd_open(pid) for pid in pids}
    try:
        yield
        end = time.monotonic() + ENDED_DEADLINE_S
        for pid, descriptor in watched.items():
            left_s = max(0.0, end - time.monotonic())
            assert select.select([descriptor], [], [], left_s)[0], f"{_command(pid)} is alive"
    finally:
        for descriptor in watched.values():
            os.close(descriptor)


def _parents() -> Iterator[tuple[int, int]]:
    """Every process and its parent."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
        except OSError:
            continue  # it has ended
        yield int(folder.name), int(status.rsplit(")", 1)[1].split()[1])


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
