"""Downloads with limits on time and size, and one cached check of which hubs are reachable."""

import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from gpu_workers.weights.catalogue import CATALOGUE, Entry
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.manifest import write_atomically

PROBE_S = 8.0  # for all hubs together
REMEMBER_S = 60.0  # how long other processes use the cached result
ASK_AGAIN_S = 600.0  # a service outlives most network failures
STALL_S = 30.0
WHOLE_DOWNLOAD_S = 1800.0
LARGEST_BYTES = 4 * 2**30

FAILURES = (OSError, HTTPException)  # a URLError is an OSError


class Verdict(msgspec.Struct, frozen=True):
    """Why each unreachable host was unreachable, and when this was checked."""

    unreachable: dict[str, str]
    checked_unix_s: float


class Hubs:
    """Caches which hosts are unreachable: 10 minutes in this process, 1 minute in others."""

    def __init__(self, folder: Path, urls: tuple[str, ...] = ()) -> None:
        self._path = folder / ".hubs.json"
        self._urls = urls or tuple(entry.url for entry in CATALOGUE.values() if entry.url)
        self._verdict: Verdict | None = None
        self._lock = threading.Lock()

    def reason_unreachable(self, url: str) -> str | None:
        """Return why the URL's host is unreachable, or None. The first call may take 8 s."""
        with self._lock:
            known = self._verdict
            if known is None or time.time() - known.checked_unix_s > ASK_AGAIN_S:
                self._verdict = self._recent() or self._probe()
            assert self._verdict is not None
            return self._verdict.unreachable.get(urlsplit(url).netloc)

    def remember(self, url: str, error: Exception) -> None:
        """Record a host that stopped responding; HTTP errors and truncated files do not count."""
        silent = isinstance(error, (urllib.error.URLError, TimeoutError))
        if not silent or isinstance(error, urllib.error.HTTPError):
            return
        with self._lock:
            known = self._verdict.unreachable if self._verdict else {}
            self._keep(Verdict(known | {urlsplit(url).netloc: str(error)}, time.time()))

    def _recent(self) -> Verdict | None:
        try:
            verdict = msgspec.json.decode(self._path.read_bytes(), type=Verdict)
        except (OSError, msgspec.DecodeError):
            return None  # a missing or damaged cache only costs a new probe
        fresh = 0 <= time.time() - verdict.checked_unix_s < REMEMBER_S
        return verdict if fresh else None

    def _probe(self) -> Verdict:
        """Probe all hosts concurrently, in threads, because a DNS lookup has no timeout."""
        url_of_host = {urlsplit(url).netloc: url for url in self._urls}
        unreachable = dict.fromkeys(url_of_host, f"no answer within {PROBE_S:.0f} s")

        def ask(host: str, url: str) -> None:
            reason = _why_no_answer(url)
            if reason is None:
                unreachable.pop(host, None)
            else:
                unreachable[host] = reason

        threads = [
            threading.Thread(target=ask, args=item, daemon=True) for item in url_of_host.items()
        ]
        deadline = time.monotonic() + PROBE_S
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._keep(verdict := Verdict(dict(unreachable), time.time()))
        return verdict

    def _keep(self, verdict: Verdict) -> None:
        self._verdict = verdict
        with suppress(OSError):  # only a cache: without it, each process probes for itself
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode(verdict))


def _why_no_answer(url: str) -> str | None:
    """Return why the host does not respond, or None; an HTTP error is a response."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_S).close()
    except urllib.error.HTTPError as error:
        error.close()
    except FAILURES as error:
        return str(getattr(error, "reason", error))
    return None


def fetch(entry: Entry, target: Path) -> None:
    """Download an entry to `target` and unpack it; do not verify it.

    Raises OSError or HTTPException if the network fails, ModelUnavailable if the content is too
    long or not the expected zip.
    """
    assert entry.url is not None
    archive = target.with_name(target.name + ".zip.part") if entry.zip_member else target
    try:
        with (
            urllib.request.urlopen(entry.url, timeout=STALL_S) as source,
            open(archive, "wb") as out,
        ):
            expected = int(source.headers.get("Content-Length", -1))
            _copy(entry, source, out, expected)
        if entry.zip_member:
            _unpack(entry, archive, target)
    finally:
        if archive != target:
            archive.unlink(missing_ok=True)


def _copy(entry: Entry, source: IO[bytes], out: IO[bytes], expected: int) -> None:
    """Copy the response with a progress bar; `expected` is in bytes, -1 if unknown."""
    limit = 2 * entry.size_bytes if entry.size_bytes else LARGEST_BYTES
    deadline = time.monotonic() + WHOLE_DOWNLOAD_S
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    console = Console(stderr=True)
    done = 0
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(entry.name, total=expected if expected >= 0 else None)
        while block := source.read(1 << 18):
            done += len(block)
            if done > limit:
                raise ModelUnavailable(f"{entry.url} sends more than the {limit} bytes allowed")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not finished after {WHOLE_DOWNLOAD_S:.0f} s")
            out.write(block)
            progress.update(bar, completed=done)
    if expected >= 0 and done != expected:
        raise ConnectionError(f"truncated after {done} of {expected} bytes")


def _unpack(entry: Entry, archive: Path, target: Path) -> None:
    """Extract the one wanted member by name, so that the zip cannot choose where to write."""
    assert entry.zip_member is not None
    try:
        with zipfile.ZipFile(archive) as opened, open(target, "wb") as out:
            info = opened.getinfo(entry.zip_member)
            if info.file_size > LARGEST_BYTES:
                raise ModelUnavailable(f"{entry.url} unpacks to {info.file_size} bytes")
            with opened.open(info) as member:
                while block := member.read(1 << 20):
                    out.write(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelUnavailable(f"{entry.url} is not a zip with {entry.zip_member}") from error
