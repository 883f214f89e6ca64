"""The two hashes of a response: `input_hash` of the file and `config_hash` of the request."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xxhash

from ipc.files import FileChanged, FileRef, Identity, file_ref, open_ref
from server.errors import Problem

BLOCK_BYTES = 1 << 20
FILES_REMEMBERED = 4096
HASHED_AT_ONCE = 4  # in a separate thread pool: a stalled disk must not block other work
# At least the resolution of a file's time of modification: up to 10 ms by the kernel's clock.
# A time in whole seconds may be of a file system with a resolution of 1 or 2 s.
RESOLUTION_S = 0.02
COARSE_RESOLUTION_S = 2.0


def input_hash(path: str) -> str:
    """XXH64 of the file's bytes, 16 hex digits. Reads the whole file: call it in a thread."""
    digest = xxhash.xxh64()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class InputHashes:
    """The hashes of files; an unchanged file is read only once."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(HASHED_AT_ONCE, "hash")
        self._known: OrderedDict[Identity, str] = OrderedDict()
        self._reading: dict[Identity, asyncio.Future[str]] = {}

    def remember(self, file: FileRef, digest: str) -> None:
        """Store a hash that was computed elsewhere."""
        self._known[file.identity] = digest
        while len(self._known) > FILES_REMEMBERED:
            self._known.popitem(last=False)

    async def settle(self, file: FileRef) -> None:
        """Wait until any further change of the file would change its time of modification.

        Call it before anything reads the file. Only a file that has just changed makes it wait.
        """
        if file.identity not in self._known:
            coarse = file.modified_ns % 1_000_000_000 == 0
            resolution_s = COARSE_RESOLUTION_S if coarse else RESOLUTION_S
            age_s = (time.time_ns() - file.modified_ns) / 1e9
            if abs(age_s) < resolution_s:
                await asyncio.sleep(resolution_s - age_s)

    async def of(self, file: FileRef, expected: str | None) -> str:
        """Return the file's XXH64; raises Problem (input_hash_mismatch) if it is not `expected`."""
        try:
            digest = self._known.get(file.identity) or await self._read(file)
        except OSError as error:
            raise Problem(
                "video_not_found", f"The file cannot be read: {error.strerror}."
            ) from None
        if expected is not None and expected.lower() != digest:
            raise Problem(
                "input_hash_mismatch",
                f"The file's XXH64 is {digest}, not {expected}: the path leads to another file, "
                "or the file has changed.",
            )
        return digest

    async def _read(self, file: FileRef) -> str:
        """Hash the file in a thread; concurrent calls for the same file await the same result.

        It is opened at once: later, the first caller may be gone, and with it what `file` leads to.
        """
        if file.identity not in self._reading:
            fd = _opened(file)
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self._readers, _hash_unchanged, fd, file)
            self._reading[file.identity] = reading
            reading.add_done_callback(lambda done: self._ended(file, done))
        digest = await asyncio.shield(self._reading[file.identity])
        self.remember(file, digest)
        return digest

    def _ended(self, file: FileRef, reading: asyncio.Future[str]) -> None:
        """Retrieve the exception: nobody awaits it if all callers are gone."""
        self._reading.pop(file.identity)
        if not reading.cancelled():
            reading.exception()


def _opened(file: FileRef) -> int:
    """Open the file; raises OSError, and Problem if it has changed."""
    try:
        return open_ref(file)
    except FileChanged:
        raise _changed() from None


def _hash_unchanged(fd: int, file: FileRef) -> str:
    """Hash and close the file; raises Problem if it changes meanwhile: the digest is of neither."""
    try:
        digest = input_hash(f"/proc/self/fd/{fd}")
        if file_ref(fd).identity != file.identity:
            raise _changed()
    finally:
        os.close(fd)
    return digest


def _changed() -> Problem:
    return Problem(
        "input_hash_mismatch",
        "The file changed while it was being read. Send the request again once it is complete.",
    )


def config_hash(config: Mapping[str, Any]) -> str:
    """XXH64 of the configuration as JSON with sorted keys, 16 hex digits."""
    return xxhash.xxh64(json.dumps(config, sort_keys=True).encode()).hexdigest()
