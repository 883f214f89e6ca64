"""faster-whisper's side of a contest: an environment made on demand, and a process in it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.compare.environments import environment
from bench.compare.rounds import Contest, Turn, WorkDiffers

HERE = Path(__file__).parent
REQUIREMENTS = (HERE / "requirements.txt", HERE / "model.txt")
DEADLINE_S = 600.0  # of one transcription
EXIT_DEADLINE_S = 15.0

Process = subprocess.Popen[str]


class FasterWhisper:
    """One setting of it; several may share the process. `batch` 0 means the sequential one.

    `short` is a file for the warm-up.
    """

    def __init__(self, process: Process, short: Path, compute_type: str, batch: int) -> None:
        self._process = process
        self._short = short
        self._settings = {"compute_type": compute_type, "batch": batch}

    def warm_up(self, contest: Contest) -> None:
        """Transcribe the short file; raises WorkDiffers."""
        self._transcribe(self._short)

    def run(self, contest: Contest) -> Turn:
        """Transcribe; raises WorkDiffers."""
        answer = self._transcribe(contest.media)
        return Turn(answer["seconds"], {"transcribe": [{"text": answer["text"]}]})

    def _transcribe(self, path: Path) -> dict[str, Any]:
        answer = _ask(self._process, {"path": str(path), **self._settings})
        if "error" in answer:
            raise WorkDiffers(f"faster-whisper: {answer['error']}")
        return answer


@contextmanager
def faster_whisper(folder: Path) -> Iterator[Process]:
    """Start the process, in an environment that is made if missing; raises NotInstalled."""
    python = environment(folder, REQUIREMENTS)
    cores = str(len(os.sched_getaffinity(0)))
    command = [str(python), str(HERE / "transcriber.py"), str(folder / "model"), cores]
    # Without the waiting policy of this process: faster-whisper runs with its own defaults.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    with (
        folder.with_name("compare-faster-whisper.log").open("w") as log,
        subprocess.Popen(
            command,
            env={**environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            _stop(process)


def _ask(process: Process, request: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
    except BrokenPipeError as error:
        raise WorkDiffers("faster-whisper has ended") from error
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(DEADLINE_S):
            raise WorkDiffers(f"faster-whisper did not respond within {DEADLINE_S:g} s")
    line = process.stdout.readline()
    if not line:
        raise WorkDiffers("faster-whisper has ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _stop(process: Process) -> None:
    process.terminate()
    try:
        process.wait(EXIT_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
