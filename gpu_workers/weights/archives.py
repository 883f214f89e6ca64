"""Takes one file out of a zip, whatever else the zip contains or says."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

from gpu_workers.weights.errors import SourceFailed

BLOCK_BYTES = 1 << 18


def unpack(archive: Path, member: str, out: IO[bytes], limit_bytes: int) -> None:
    """Copy one member to `out`. It is found by its name, so the zip cannot choose where to write.

    Raises SourceFailed if the archive does not have it, or if it is larger than the limit.
    """
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as packed:
            _copy(packed, out, limit_bytes)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError) as error:
        raise SourceFailed(f"it is not a zip with {member}") from error


def _copy(packed: IO[bytes], out: IO[bytes], limit_bytes: int) -> None:
    done = 0
    while block := packed.read(BLOCK_BYTES):
        done += len(block)
        if done > limit_bytes:
            raise SourceFailed(f"it unpacks to more than {limit_bytes} bytes")
        out.write(block)
