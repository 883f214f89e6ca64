"""Where an answer comes from: the file's content, the request's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

BLOCK_BYTES = 1 << 20


def input_hash(path: Path) -> str:
    """XXH64 of the file's bytes, 16 hex digits. Reads the whole file: call it in a thread."""
    digest = xxhash.xxh64()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def config_hash(config: Mapping[str, Any]) -> str:
    """XXH64 of the configuration as JSON with sorted keys, 16 hex digits."""
    return xxhash.xxh64(json.dumps(config, sort_keys=True).encode()).hexdigest()
