"""Runs a private instance of the service on a free port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
MODELS = Path(os.environ.get("MODEL_CACHE_DIR", ROOT / ".cache" / "models"))
READY_DEADLINE_S = 120.0
EXIT_DEADLINE_S = 60.0
POLL_S = 0.1


class ServiceFailed(Exception):
    """The service ended, or was not ready in time; the message says where its log is."""


@contextmanager
def service(log_path: Path, module: str = "server", **environ: str) -> Iterator[httpx.Client]:
    """Start `python -m server`, yield a client once it is ready, and stop it at the end.

    `module` is an alternative module that starts the service in the same way.

    Raises ServiceFailed.
    """
    port = free_port()
    command = [sys.executable, "-m", module]
    with (
        log_path.open("w") as log,
        subprocess.Popen(
            command,
            env={**os.environ, "PORT": str(port), **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=None) as client,
    ):
        try:
            _await_ready(client, process, log_path)
            yield client
        finally:
            _stop(process)


def _await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(POLL_S)
    raise ServiceFailed(f"The service did not start; its log is {log_path}.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(EXIT_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def free_port() -> int:
    """A free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
