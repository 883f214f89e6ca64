"""A real server in a separate process, for tests over HTTP."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent.parent
SUPPORT = Path(__file__).parent
READY_DEADLINE_S = 120
EXIT_DEADLINE_S = 60
STATE_DEADLINE_S = 60


class Server:
    """The process, its log, and a client. `log` grows as the server writes.

    `command` is what comes after `python -m`; `{port}` in it is the port.
    """

    def __init__(self, command: str, environ: dict[str, str]) -> None:
        self.environ = environ
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log: list[dict[str, Any]] = []
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        path = f"{SUPPORT}:{os.environ.get('PYTHONPATH', '')}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command.format(port=self.port).split()],
            env={**os.environ, "PYTHONPATH": path, "PORT": str(self.port), **environ},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.client = httpx.Client(base_url=self.url, timeout=300)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": line.strip()}
            self.log.append(event)
            self._events.put(event)
        self._events.put(None)

    def wait_for(
        self, name: str, deadline_s: float = READY_DEADLINE_S, **fields: str
    ) -> dict[str, Any]:
        """The next log event with this name and these field values."""
        end = time.monotonic() + deadline_s
        while True:
            event = self._events.get(timeout=max(0.0, end - time.monotonic()))
            if event is None:
                raise RuntimeError(f"the server ended: {self.log}")
            if event["event"] == name and fields.items() <= event.items():
                return event

    def pid_of(self, child: str) -> int:
        """The pid of the process that last became ready under this name."""
        ready = [e for e in self.log if e["event"] == "child ready" and e["child"] == child]
        return int(ready[-1]["pid"])

    def infer(self, task: str, video: Path, **fields: Any) -> httpx.Response:
        """POST one task."""
        return self.client.post(f"/infer/{task}", json={"video_path": str(video), **fields})

    def metric(self, line_start: str) -> float:
        """The sum of the metric lines that start with `line_start`."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(line_start))

    def wait_until(self, reached: Callable[[], object], what: str) -> None:
        """Ask again and again until a state is reached that the log does not tell of."""
        end = time.monotonic() + STATE_DEADLINE_S
        while not reached():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {STATE_DEADLINE_S} s: {what}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(EXIT_DEADLINE_S)
        self._reader.join(EXIT_DEADLINE_S)
        return code

    def close(self) -> None:
        """Kill the process if it still runs, and close everything."""
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(EXIT_DEADLINE_S)
        self._reader.join(EXIT_DEADLINE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def running(command: str = "server", **environ: str) -> Iterator[Server]:
    """A server that is ready; SIGTERM stops it at the end."""
    defaults = {"FRAME_POOL_MB": "256", "DECODE_PROCESSES": "2", "DEVICES": "cpu"}
    server = Server(command, {**defaults, **environ})
    try:
        server.wait_for("service ready")
        yield server
        if server.process.poll() is None:
            server.stop()
    finally:
        server.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
