"""The same video with other bytes, of which a cache that is keyed by content knows nothing."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path


def distinct_copy(source: Path, target: Path, number: int) -> Path:
    """Copy an MP4 and append a `free` box that holds `number`; returns `target`.

    A `free` box is padding, which readers skip: ISO/IEC 14496-12, section 8.1.2.
    """
    shutil.copyfile(source, target)
    with target.open("ab") as copy:
        copy.write(struct.pack(">I4sQ", 16, b"free", number))
    return target
