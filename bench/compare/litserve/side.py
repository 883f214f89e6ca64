"""LitServe's side of a contest: an environment made on demand, a server, and its client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.compare.pairs import Contest, Turn, WorkDiffers
from bench.service_process import free_port

HERE = Path(__file__).parent
READY_DEADLINE_S = 120.0
EXIT_DEADLINE_S = 15.0
POLL_S = 0.2


class NoLitServe(Exception):
    """Its packages cannot be installed, or it does not start; the message says why."""


class LitServe:
    """A running server; each task of a contest is one request, all sent concurrently."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def warm_up(self, contest: Contest) -> None:
        """Send one request; raises WorkDiffers."""
        self.run(contest)

    def run(self, contest: Contest) -> Turn:
        """Send `contest.requests` requests per task, concurrently; raises WorkDiffers."""
        calls = [task for task in contest.tasks for _ in range(contest.requests)]
        with ThreadPoolExecutor(len(calls)) as threads:
            started = time.perf_counter()
            counts = list(threads.map(lambda task: self._ask(task, contest.media), calls))
            seconds = time.perf_counter() - started
        found: Counter[str] = Counter()
        for task, count in zip(calls, counts, strict=True):
            found[task] += count
        return Turn(seconds, dict(found))

    def _ask(self, task: str, media: Path) -> int:
        response = self._client.post(f"/{task}", json={"video_path": str(media)})
        if response.status_code != httpx.codes.OK:
            raise WorkDiffers(f"LitServe responded {response.status_code} to {task}")
        return len(response.json()["items"])


@contextmanager
def litserve(environment: Path, weights: Path) -> Iterator[LitServe]:
    """Start a server, in an environment that is made if missing; raises NoLitServe."""
    python = _environment(environment)
    port = free_port()
    command = [str(python), str(HERE / "server.py"), str(weights), str(port)]
    log_path = environment.with_name("compare-litserve.log")
    with (
        log_path.open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=None) as client,
    ):
        try:
            _await_ready(client, process, log_path)
            yield LitServe(client)
        finally:
            _stop(process)


def _environment(folder: Path) -> Path:
    """The interpreter of an environment with LitServe, and with access to our packages."""
    python = folder / "bin" / "python"
    installed = folder / "requirements.txt"
    requirements = (HERE / "requirements.txt").read_text()
    if installed.exists() and installed.read_text() == requirements:
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "15"]
    try:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [*install, "--requirement", str(HERE / "requirements.txt")],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines()
        raise NoLitServe(f"its packages could not be installed: {lines[-1]}") from error
    # After its own packages, so that torch and the models need not be installed twice.
    own = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(own, "models.pth").write_text(sysconfig.get_path("purelib"))
    installed.write_text(requirements)
    return python


def _await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(POLL_S)
    raise NoLitServe(f"the server did not start; its log is {log_path}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its child processes."""

    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(EXIT_DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
