"""Opens the files that a client may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipc.files import FileRef, file_ref
from server.errors import Problem


@contextmanager
def opened(video_path: str, roots: tuple[str, ...]) -> Iterator[FileRef]:
    """Hold open the regular file that `video_path` leads to, symlinks followed.

    Raises Problem: path_not_allowed outside `roots` (whether or not the file exists),
    video_not_found if there is no regular file that this process may read.
    """
    fd = _open(video_path, roots)
    try:
        yield file_ref(fd)
    finally:
        os.close(fd)


def _open(video_path: str, roots: tuple[str, ...]) -> int:
    try:
        path = Path(video_path).resolve()
        if not _inside(path, roots):
            raise _not_allowed(video_path)
        # Neither waits for a FIFO's writer nor takes a terminal.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise _not_found(video_path, "there is no such file on the service's machine") from None
    except OSError as error:
        raise _not_found(video_path, f"it cannot be opened: {error.strerror}") from None
    except (RuntimeError, ValueError) as error:
        raise _not_found(video_path, f"it is not a usable path: {error}") from None
    try:
        # What was opened counts, not what the path led to when it was resolved.
        if not _inside(Path(os.readlink(f"/proc/self/fd/{fd}")), roots):
            raise _not_allowed(video_path)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _not_found(video_path, "it is not a regular file")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _inside(path: Path, roots: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _not_allowed(video_path: str) -> Problem:
    return Problem(
        "path_not_allowed",
        f"{video_path!r} is outside the folders that this service may read. Move the file into "
        "one of them, or ask the operator to add its folder to MEDIA_ROOTS.",
    )


def _not_found(video_path: str, reason: str) -> Problem:
    return Problem("video_not_found", f"{video_path!r} cannot be read: {reason}.")
