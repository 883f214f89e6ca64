"""The manifest of a weights folder, shared by processes under file locks."""

import errno
import fcntl
import glob
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gpu_workers.weights.errors import ModelUnavailable

LOCK_POLL_S = 0.05
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


class Record(msgspec.Struct, frozen=True):
    """A file as last seen. Its hash is valid while size and modification time are unchanged."""

    sha256: str
    size_bytes: int
    mtime_ns: int
    stand_in: bool = False

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

    def record(self, name: str, path: Path, sha256: str, *, stand_in: bool) -> None:
        """Record the file at `path`, which has or will have the given name in the folder.

        If the folder is read-only, nothing is written.
        """
        stat = path.stat()
        entry = Record(sha256, stat.st_size, stat.st_mtime_ns, stand_in)
        try:
            with locked(self.folder, "manifest.json", timeout_s=30):
                records = self.records() | {name: entry}
                text = msgspec.json.format(msgspec.json.encode(records), indent=2)
                write_atomically(self.path, text)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise


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
                    f"{folder / name}: another process has held its lock for {timeout_s:.0f} s"
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


def delete_leftovers(path: Path) -> None:
    """Delete what a killed process has left of such files. Call under the lock of `path`."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        leftover.unlink(missing_ok=True)


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
