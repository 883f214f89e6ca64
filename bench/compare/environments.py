"""Virtual environments for alternatives that are no dependency of the service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_DEADLINE_S = 900
PIP = ("-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "15")


class NotInstalled(Exception):
    """The packages cannot be installed; the message says why."""


def environment(folder: Path, requirements: Sequence[Path]) -> Path:
    """The interpreter of an environment with the packages, which is made if it is missing.

    Each file of requirements is a pip call of its own. Raises NotInstalled.
    """
    python = folder / "bin" / "python"
    installed = folder / "requirements.txt"
    wanted = "".join(file.read_text() for file in requirements)
    if installed.exists() and installed.read_text() == wanted:
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    for file in requirements:
        _run([str(python), *PIP, "--requirement", str(file)])
    installed.write_text(wanted)
    return python


def pinned(requirements: Path, *packages: str) -> str:
    """The packages with their versions, for a note."""
    pins = dict(line.split("==") for line in requirements.read_text().splitlines())
    return ", ".join(f"{package} {pins[package]}" for package in packages)


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"not installed within {INSTALL_DEADLINE_S} s") from error
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines()
        raise NotInstalled(f"its packages could not be installed: {lines[-1]}") from error
