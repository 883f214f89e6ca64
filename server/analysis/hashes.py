"""The two hashes of a response: `input_hash` of the file and `config_hash` of the request."""

from __future__ import annotations

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import xxhash

from server.errors import Problem

Identity = tuple[int, int, int, int]

BLOCK_BYTES = 1 << 20
FILES_REMEMBERED = 4096
HASHED_AT_ONCE = 4  # in a separate thread pool: a stalled disk must not block other work


def input_hash(path: Path) -> str:
    """XXH64 of the file's bytes, 16 hex digits. Reads the whole file: call it in a thread."""
    digest = xxhash.xxh64()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class InputHashes:
    """The hashes of files; an unchanged file is read only once.

    Device, inode, size and modification time identify a file.
    """

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(HASHED_AT_ONCE, "hash")
        self._known: OrderedDict[Identity, str] = OrderedDict()
        self._reading: dict[Identity, asyncio.Future[str]] = {}

    def remember(self, path: str, digest: str) -> None:
        """Store a hash that was computed elsewhere."""
        self._known[_identity(path)] = digest
        while len(self._known) > FILES_REMEMBERED:
            self._known.popitem(last=False)

    async def of(self, path: str, expected: str | None) -> str:
        """Return the file's XXH64; raises Problem (input_hash_mismatch) if it is not `expected`."""
        try:
            digest = self._known.get(_identity(path)) or await self._read(path)
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

    async def _read(self, path: str) -> str:
        """Hash the file in a thread; concurrent calls for the same file await the same result."""
        identity = _identity(path)
        if identity not in self._reading:
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self._readers, input_hash, Path(path))
            self._reading[identity] = reading
            reading.add_done_callback(lambda _: self._reading.pop(identity))
        digest = await asyncio.shield(self._reading[identity])
        self.remember(path, digest)
        return digest


def _identity(path: str) -> Identity:
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def config_hash(config: Mapping[str, Any]) -> str:
    """XXH64 of the configuration as JSON with sorted keys, 16 hex digits."""
    return xxhash.xxh64(json.dumps(config, sort_keys=True).encode()).hexdigest()
