"""The manifest of a weights folder, shared by processes under file locks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gpu_workers.weights.errors import ModelUnavailable

LOCK_POLL_S = 0.05
# What `temporary_beside` adds to a file's name.
TEMPORARY = re.compile(r"\.(?P<name>.+)\.\w{8}\.part(\.zip|\.wheels)?")


class Record(msgspec.Struct, frozen=True):
    """A file as last seen. Its hash is valid while size and modification time are unchanged.

    `source` is empty for a file that somebody else put there. `converted_from` is the sha256 of the
    mirror's file that this one was made from.
    """

    sha256: str
    size_bytes: int
    mtime_ns: int
    stand_in: bool = False
    source: str = ""
    converted_from: str = ""

    @classmethod
    def of(cls, path: Path, sha256: str, **about: Any) -> Record:
        """Describe a file as it is now."""
        stat = path.stat()
        return cls(sha256, stat.st_size, stat.st_mtime_ns, **about)

    def describes(self, path: Path) -> bool:
        """Return whether the file is unchanged since."""
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


class Manifest:
    """The records in a folder's `manifest.json`. Writes are atomic and locked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "manifest.json"

    def records(self) -> dict[str, Record]:
        """Return all records by file name. Raises ModelUnavailable if the manifest is damaged."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, Record])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            raise ModelUnavailable(
                f"{self.path} is damaged ({error}): delete it, and it will be recreated"
            ) from error

    def add(self, name: str, record: Record) -> None:
        """Record a file that has or will have this name in the folder.

        Raises OSError if the folder cannot be written to.
        """
        with locked(self.folder, "manifest.json", timeout_s=30):
            records = self.records() | {name: record}
            text = msgspec.json.format(msgspec.json.encode(records), indent=2)
            sweep(self.path)
            write_atomically(self.path, text)


@contextmanager
def locked(folder: Path, name: str, timeout_s: float) -> Iterator[None]:
    """Hold the lock `name` of the folder, against other threads and processes.

    Raises ModelUnavailable if it is not free within `timeout_s`.
    """
    (folder / ".locks").mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with open(folder / ".locks" / name, "w") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() > deadline:
                raise ModelUnavailable(
                    f"{name} is being written to {folder} by another process, which has held its "
                    f"lock for {timeout_s:.0f} s: try again later, or end that process"
                )
            time.sleep(LOCK_POLL_S)
        yield


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, or a crash, sees either the old or the new content."""
    with temporary_beside(path) as temporary:
        temporary.write_bytes(content)
        put_in_place(temporary, path)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Yield a new name in the same folder; delete a file that still has it at the end."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(number)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Delete the temporary files of `path` that processes which died have left.

    Call it only with the lock of this name: without it, the file of a living process may go.
    """
    for other in path.parent.iterdir():
        if (match := TEMPORARY.fullmatch(other.name)) and match["name"] == path.name:
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished file to its final name, after its bytes are on disk."""
    temporary.chmod(0o644)
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def digest(path: Path, algorithm: str) -> str:
    """Return the file's hash in hex; `algorithm` is a hashlib name."""
    with open(path, "rb") as file:
        running = hashlib.new(algorithm)
        while block := file.read(1 << 20):
            running.update(block)
    return running.hexdigest()
