"""Gates at which a server's processes wait, until the test lets them pass."""

from __future__ import annotations

import os
from pathlib import Path


class Gate:
    """A FIFO: each byte in it lets one process pass."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR)

    def let_pass(self, count: int = 1) -> None:
        """Let so many processes pass, those that wait and those that come later."""
        os.write(self._descriptor, bytes(count))

    def close(self) -> None:
        """Close the test's end."""
        os.close(self._descriptor)


def pass_gate(path: Path) -> None:
    """Wait at the gate, if there is one."""
    if path.exists():
        with path.open("rb", buffering=0) as gate:
            gate.read(1)
