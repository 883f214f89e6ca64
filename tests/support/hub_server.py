"""`python -m hub_server`: the service, whose catalogue has files of a hub on this machine.

EIOKU_TEST_HUB is a JSON object with the entries' names, and for each its URL and checksum (or
null). EIOKU_TEST_MOUNT: what is mounted on MODEL_CACHE_DIR, for this service alone: "full" is an
empty file system of 2 MB, "read-only" is the folder itself, which cannot be written to.
EIOKU_TEST_FILE_SIZE is the largest file in bytes that a worker can write.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
from typing import Any

from ipc.channel import Endpoint
from ipc.config import WorkerConfig

STALL_S = 2.0
WHOLE_DOWNLOAD_S = 6.0
CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 1 << 14, 1 << 18


def worker(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    """A worker with another catalogue and shorter deadlines."""
    from gpu_workers import worker
    from gpu_workers.weights import download
    from gpu_workers.weights.catalogue import CATALOGUE, Entry

    for name, (url, checksum, size) in json.loads(os.environ["EIOKU_TEST_HUB"]).items():
        CATALOGUE[name] = Entry(name, "objects", url, "none", size, checksum)
    download.STALL_S = float(os.environ.get("EIOKU_TEST_STALL_S", STALL_S))
    download.WHOLE_DOWNLOAD_S = float(os.environ.get("EIOKU_TEST_DOWNLOAD_S", WHOLE_DOWNLOAD_S))
    if limit := os.environ.get("EIOKU_TEST_FILE_SIZE"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    worker.main(endpoint, config)


def mount(kind: str, folder: str) -> None:
    """Mount a file system on the folder, which only this process and its children see."""
    _libc("unshare", CLONE_NEWNS)
    _libc("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    path = folder.encode()
    if kind == "full":
        _libc("mount", b"tmpfs", path, b"tmpfs", 0, b"size=2m")
    else:
        _libc("mount", path, path, None, MS_BIND, None)
        _libc("mount", None, path, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None)


def may_mount() -> bool:
    """Whether this process may do so; a child process tries."""
    pid = os.fork()
    if pid == 0:
        os._exit(ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0)
    return os.waitpid(pid, 0)[1] == 0


def _libc(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    from server.__main__ import main

    if kind := os.environ.get("EIOKU_TEST_MOUNT"):
        mount(kind, os.environ["MODEL_CACHE_DIR"])
    main("hub_server:worker")
