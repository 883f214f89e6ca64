"""References to files, as the front makes them."""

from __future__ import annotations

import os
from pathlib import Path

from ipc.files import FileRef, file_ref


def held_open(path: Path) -> FileRef:
    """Open a file and keep it open as long as the test process lives."""
    return file_ref(os.open(path, os.O_RDONLY))
