"""Downloads a file from its hub, with limits on time and size."""

import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from gpu_workers.weights.archives import unpack
from gpu_workers.weights.catalogue import Entry
from gpu_workers.weights.errors import SourceFailed

STALL_S = 30.0
WHOLE_DOWNLOAD_S = 1800.0
LARGEST_BYTES = 4 * 2**30
BLOCK_BYTES = 1 << 18


class NoAnswer(SourceFailed):
    """The hub did not answer at all."""


def fetch(entry: Entry, target: Path) -> None:
    """Download an entry to `target` and unpack it; do not verify it.

    Raises SourceFailed if the hub does not send what it should, OSError if the file cannot be
    written.
    """
    assert entry.url is not None
    if entry.zip_member is None:
        _download(entry, entry.url, target)
        return
    archive = target.with_name(target.name + ".zip")
    try:
        _download(entry, entry.url, archive)
        with open(target, "wb") as out:
            unpack(archive, entry.zip_member, out, LARGEST_BYTES)
    finally:
        archive.unlink(missing_ok=True)


def _download(entry: Entry, url: str, target: Path) -> None:
    try:
        source = urllib.request.urlopen(url, timeout=STALL_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceFailed(str(error)) from error
    except (OSError, HTTPException) as error:
        raise NoAnswer(str(getattr(error, "reason", error))) from error
    with source, open(target, "wb") as out:
        expected = source.length
        if expected is None and not source.chunked and entry.checksum is None:
            raise SourceFailed("it sends no length, so a truncated file would go unnoticed")
        done = _copy(entry, source, out, expected)
    if expected is not None and done < expected:
        raise SourceFailed(f"truncated after {done} of {expected} bytes")
    if entry.size_bytes and done < entry.size_bytes / 2:
        raise SourceFailed(f"it sent {done} bytes in place of about {entry.size_bytes}")


def _copy(entry: Entry, source: HTTPResponse, out: IO[bytes], expected: int | None) -> int:
    """Copy the response with a progress bar; return its size in bytes."""
    limit = 2 * entry.size_bytes if entry.size_bytes else LARGEST_BYTES
    deadline = time.monotonic() + WHOLE_DOWNLOAD_S
    done = 0
    with _progress_bar() as progress:
        bar = progress.add_task(entry.name, total=expected)
        while block := _read(source):
            done += len(block)
            if done > limit:
                raise SourceFailed(f"it sends more than the {limit} bytes allowed")
            if time.monotonic() > deadline:
                raise SourceFailed(f"not finished after {WHOLE_DOWNLOAD_S:.0f} s")
            out.write(block)
            progress.update(bar, completed=done)
    return done


def _read(source: HTTPResponse) -> bytes:
    """Return what has arrived, and wait for no more: so the deadline applies to a slow hub, too."""
    try:
        return source.read1(BLOCK_BYTES)
    except (OSError, HTTPException) as error:
        raise SourceFailed(f"the download broke off: {error or type(error).__name__}") from error


def _progress_bar() -> Progress:
    """A progress bar on standard error, if that is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
