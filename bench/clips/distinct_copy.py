"""Copies of a video with different bytes, to miss caches that are keyed by content."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path


def distinct_copy(source: Path, target: Path, number: int) -> Path:
    """Copy an MP4 and append a `free` box that contains `number`; return `target`.

    A `free` box is padding, which readers skip: ISO/IEC 14496-12, section 8.1.2.
    """
    shutil.copyfile(source, target)
    with target.open("ab") as copy:
        copy.write(struct.pack(">I4sQ", 16, b"free", number))
    return target
