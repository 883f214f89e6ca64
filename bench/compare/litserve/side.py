"""LitServe's sides of a contest: an environment made on demand, a server, and two clients."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np

from bench.compare.environments import NotInstalled, environment
from bench.compare.library_loops import INTERVAL, Picture, sampled
from bench.compare.rounds import Contest, Item, Turn, WorkDiffers
from bench.service_process import ROOT, free_port

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
LABELS = ROOT / "gpu_workers" / "weights" / "categories_places365.txt"
SHARED_MEMORY = Path("/dev/shm")
CHUNK = 8  # frames of a request
READY_DEADLINE_S = 120.0
EXIT_DEADLINE_S = 15.0
POLL_S = 0.2


class LitServe:
    """Each task of a contest is one request with the video's path, all sent concurrently."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def warm_up(self, contest: Contest) -> None:
        """Send one request; raises WorkDiffers."""
        self.run(contest)

    def run(self, contest: Contest) -> Turn:
        """Send `contest.requests` requests per task, concurrently; raises WorkDiffers."""
        calls = [task for task in contest.tasks for _ in range(contest.requests)]
        body = {"video_path": str(contest.media)}
        with ThreadPoolExecutor(len(calls)) as threads:
            started = time.perf_counter()
            found = list(threads.map(lambda task: ask(self._client, task, body), calls))
            seconds = time.perf_counter() - started
        return _turn(seconds, list(zip(calls, found, strict=True)))


class LitServeOfFrames:
    """The client decodes once, and sends chunks of frames in shared memory; scenes get the path."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def warm_up(self, contest: Contest) -> None:
        """Send one request; raises WorkDiffers."""
        self.run(contest)

    def run(self, contest: Contest) -> Turn:
        """Decode the video, and send the requests meanwhile; raises WorkDiffers."""
        with (
            TemporaryDirectory(prefix="bench-litserve-", dir=SHARED_MEMORY) as folder,
            ThreadPoolExecutor(32) as threads,
        ):
            started = time.perf_counter()
            calls: list[tuple[str, Future[list[Item]]]] = []
            if "scenes" in contest.tasks:
                body: dict[str, Any] = {"video_path": str(contest.media)}
                calls.append(("scenes", threads.submit(ask, self._client, "scenes", body)))
            for number, chunk in enumerate(_chunks(contest.media)):
                indices, frames = zip(*chunk, strict=True)
                path = Path(folder) / f"{number}.npy"
                np.save(path, np.stack(frames))
                body = {"frames_path": str(path), "indices": list(indices)}
                calls += [
                    (task, threads.submit(ask, self._client, task, body))
                    for task in contest.tasks
                    if task != "scenes"
                ]
            found = [(task, call.result()) for task, call in calls]
            return _turn(time.perf_counter() - started, found)


def ask(client: httpx.Client, task: str, body: dict[str, Any]) -> list[Item]:
    """The items of a request; raises WorkDiffers."""
    response = client.post(f"/{task}", json=body)
    if response.status_code != httpx.codes.OK:
        raise WorkDiffers(f"LitServe responded {response.status_code} to {task}")
    items: list[Item] = response.json()["items"]
    return items


@contextmanager
def litserve(folder: Path, weights: Path) -> Iterator[httpx.Client]:
    """Start a server, in an environment that is made if missing; raises NotInstalled."""
    python = environment(folder, [REQUIREMENTS])
    # After its own packages, so that torch and the models need not be installed twice.
    own = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(own, "models.pth").write_text(sysconfig.get_path("purelib"))
    port = free_port()
    command = [str(python), str(HERE / "server.py"), str(weights), str(LABELS), str(port)]
    log_path = folder.with_name("compare-litserve.log")
    with (
        log_path.open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=None) as client,
    ):
        try:
            _await_ready(client, process, log_path)
            yield client
        finally:
            _stop(process)


def _chunks(media: Path) -> Iterator[Sequence[tuple[int, Picture]]]:
    chunk: list[tuple[int, Picture]] = []
    for one in sampled(media, INTERVAL):
        chunk.append(one)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _turn(seconds: float, found: Sequence[tuple[str, list[Item]]]) -> Turn:
    items: dict[str, list[Item]] = {task: [] for task, _ in found}
    for task, some in found:
        # The checkpoint's label of a face is its own.
        items[task] += [one | {"label": "face"} for one in some] if task == "faces" else some
    return Turn(seconds, items)


def _await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(POLL_S)
    raise NotInstalled(f"the server did not start; its log is {log_path}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its child processes."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(EXIT_DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
