"""When, where and with which versions a table was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "torch",
    "torchvision",
    "ultralytics",
    "easyocr",
    "rapidocr",
    "onnxruntime",
    "openai-whisper",
    "scenedetect",
    "av",
    "decord",
)
GIT_DEADLINE_S = 10


def describe() -> str:
    """One line: date, commit, CPU, cores, versions."""
    now = datetime.now(timezone.utc)
    cores = len(os.sched_getaffinity(0))
    python = f"Python {platform.python_version()}"
    versions = ", ".join([python, *(f"{name} {_version(name)}" for name in PACKAGES)])
    return f"{now:%Y-%m-%d %H:%M} UTC, commit {_commit()}; {_cpu()}, {cores} cores; {versions}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=GIT_DEADLINE_S
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
