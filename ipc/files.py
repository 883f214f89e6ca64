"""A media file that the front holds open, and how its children open the very same one.

The front opens a file once for each request, checks it, and passes a descriptor on (`ipc.channel`).
So a file that is renamed or replaced meanwhile, or a symlink that is moved after the check, cannot
put another file in its place.
"""

from __future__ import annotations

import os

import msgspec

Identity = tuple[int, int, int, int]


class FileChanged(Exception):
    """The content is not, or may not be, what it was when the front opened the file."""


class FileRef(msgspec.Struct, frozen=True):
    """`path` exists as long as the front holds the file open; `fd` is this process's descriptor.

    `Endpoint.receive` puts the descriptor that it has received in place of the front's.
    """

    path: str
    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    fd: int = -1

    @property
    def identity(self) -> Identity:
        """Tells this content of this file from any other, also after `path` is gone."""
        return self.device, self.inode, self.size_bytes, self.modified_ns

    @property
    def local_path(self) -> str:
        """Leads to the file in this process, for the time of one message."""
        return f"/proc/self/fd/{self.fd}"


def file_ref(fd: int) -> FileRef:
    """The reference to a file that this process holds open as `fd`."""
    stat = os.fstat(fd)
    path = f"/proc/{os.getpid()}/fd/{fd}"
    return FileRef(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, fd)


def open_ref(ref: FileRef) -> int:
    """Open the file of `ref` for reading; raises OSError, FileChanged."""
    fd = os.open(ref.local_path, os.O_RDONLY | os.O_CLOEXEC)
    if file_ref(fd).identity != ref.identity:
        os.close(fd)
        raise FileChanged
    return fd
