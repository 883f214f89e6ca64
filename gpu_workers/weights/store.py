"""Resolves a request's model name to a verified file, and downloads it if it is missing."""

import errno
from pathlib import Path
from typing import Literal

import msgspec

from gpu_workers.weights.catalogue import PACKAGE, Entry, find
from gpu_workers.weights.download import FAILURES, WHOLE_DOWNLOAD_S, Hubs, fetch
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.manifest import (
    READ_ONLY,
    Manifest,
    Record,
    delete_leftovers,
    digest,
    locked,
    put_in_place,
    temporary_beside,
)

# Of files that are not in the catalogue; whether a task can load one shows when it does.
SUFFIXES = (".pt", ".pth", ".pth.tar", ".onnx", ".safetensors")

UNWRITABLE = READ_ONLY | {errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT}


class Weights(msgspec.Struct, frozen=True):
    """A file that may be loaded. With `stand_in`, its results mean nothing."""

    name: str
    path: Path
    sha256: str
    stand_in: bool


class WeightsStore:
    """The models of one folder. Several processes may use the same folder concurrently."""

    def __init__(self, cache_dir: Path, hubs: Hubs | None = None) -> None:
        self.cache_dir = cache_dir
        self._manifest = Manifest(cache_dir)
        self._hubs = hubs or Hubs(cache_dir)
        self._seen: dict[str, Record] = {}  # used if the folder is read-only

    def resolve(self, name: str, task: str) -> Weights:
        """Return the file for a client's model name; download and verify it if needed.

        Raises ModelUnavailable, with a message that says what to do, if the name is refused, the
        file cannot be obtained, or its content is wrong.
        """
        path, entry = self._locate(name, task)
        if not path.is_file():
            if entry is None or entry.task != task:
                raise ModelUnavailable(
                    f"{name} is no known model for {task}, and there is no such file in "
                    f"{self.cache_dir}: add the file, or request a model of the catalogue"
                )
            self._download(entry, path)
        return self._verified(path, entry)

    def status(self, name: str, task: str) -> Literal["ready", "missing"]:
        """Return whether the file exists; neither hash nor download it.

        Raises ModelUnavailable if the name is refused.
        """
        return "ready" if self._locate(name, task)[0].is_file() else "missing"

    def _locate(self, name: str, task: str) -> tuple[Path, Entry | None]:
        """Return the model's path, whether the file exists or not, and its catalogue entry."""
        if not name or any(c in name for c in "/\\:\0") or name.startswith(".") or ".." in name:
            raise ModelUnavailable(f"{name!r} is not the bare name of a model file")
        entry = find(name)
        if entry is not None and entry.task == task:
            folder = self.cache_dir if entry.url else PACKAGE
            return folder / entry.name, entry
        if not name.endswith(SUFFIXES):
            raise ModelUnavailable(
                f"{name} is not a model file: the name of a custom file must end in "
                + " or ".join(SUFFIXES)
            )
        return self.cache_dir / name, entry

    def _verified(self, path: Path, entry: Entry | None) -> Weights:
        """Verify the content against the manifest and the catalogue; record a new file."""
        known = self._manifest.records().get(path.name) or self._seen.get(path.name)
        if known is not None and known.describes(path):
            return Weights(path.name, path, known.sha256, known.stand_in)
        sha256 = digest(path, "sha256")
        stand_in = known is not None and known.stand_in and known.sha256 == sha256
        if entry is not None and not stand_in:
            _check(path, sha256, entry, known)
        self._remember(path, sha256, stand_in=stand_in)
        return Weights(path.name, path, sha256, stand_in)

    def _remember(self, path: Path, sha256: str, *, stand_in: bool) -> None:
        stat = path.stat()
        self._seen[path.name] = Record(sha256, stat.st_size, stat.st_mtime_ns, stand_in)
        if path.parent == self.cache_dir:
            self._manifest.record(path.name, path, sha256, stand_in=stand_in)

    def _download(self, entry: Entry, path: Path) -> None:
        """Download one entry under its lock; another process may have done so before we got it."""
        if entry.url is None:
            raise self._unavailable(entry, "it should have been installed with this package")
        if reason := self._hubs.reason_unreachable(entry.url):
            raise self._unavailable(entry, f"{entry.url} cannot be reached: {reason}")
        try:
            with locked(self.cache_dir, entry.name, WHOLE_DOWNLOAD_S):
                if path.is_file():
                    return
                delete_leftovers(path)
                with temporary_beside(path) as temporary:
                    fetch(entry, temporary)
                    sha256 = digest(temporary, "sha256")
                    _check(temporary, sha256, entry, self._manifest.records().get(path.name))
                    put_in_place(temporary, path)
                self._remember(path, sha256, stand_in=False)
        except FAILURES as error:
            if isinstance(error, OSError) and error.errno in UNWRITABLE:
                reason = f"{self.cache_dir} cannot be written to: {error.strerror}"
            else:
                reason = f"{entry.url} failed: {error}"
                self._hubs.remember(entry.url, error)
            raise self._unavailable(entry, reason) from error

    def _unavailable(self, entry: Entry, reason: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"{entry.name} is not in {self.cache_dir}, and {reason}. Add the file, or run "
            f"`python -m gpu_workers.weights standins {self.cache_dir}` for stand-ins"
        )


def _check(path: Path, sha256: str, entry: Entry, known: Record | None) -> None:
    """Check a file against its published checksum, or else its hash when first seen.

    The recorded hash of an earlier stand-in does not count.
    """
    algorithm, expected = "sha256", None
    if entry.checksum is not None:
        algorithm, expected = entry.checksum.split(":")
    elif known is not None and not known.stand_in:
        expected = known.sha256
    found = sha256 if algorithm == "sha256" else digest(path, algorithm)
    if expected is not None and found != expected:
        raise ModelUnavailable(
            f"{entry.name} has the {algorithm} {found}, but should have {expected}: delete "
            f"{entry.name} to download it again, or its entry in manifest.json to accept the file"
        )
