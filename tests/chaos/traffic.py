"""Sends many requests at the same time, and judges the answers and the server's state."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from outcomes import LOST, Outcome
from payload import payload
from running import Server, running

from bench.clips.distinct_copy import distinct_copy

IN_FLIGHT = 6
DEADLINE_S = 120
SHM = Path("/dev/shm")
WHOLE = "none (a whole clip)"
REFUSALS = {"422 undecodable_video", "422 no_audio_stream", "413 frame_too_large"}
ANY_ANSWER = {"200", *REFUSALS}
# What the log may say at level ERROR: a decoder that a file killed.
EXPECTED_ERRORS = ("child died", "child killed")


@contextmanager
def chaos_server(media: Path, command: str = "fake_server", **environ: str) -> Iterator[Server]:
    """A server with the fake `objects` model, and the real tasks; short deadlines."""
    settings = {"MEDIA_ROOTS": str(media), "REQUEST_TIMEOUT_S": "90"}
    settings |= {"FRAME_POOL_MB": "128", "WHISPER_MODEL": "tiny", "MAX_QUEUED_REQUESTS": "1000"}
    with running(command, **{**settings, **environ}) as server:
        server.client.timeout = httpx.Timeout(DEADLINE_S)
        yield server


def result_of(send: Callable[[], httpx.Response]) -> str:
    """The status, and the code of an error; LOST if there was no answer in time."""
    try:
        response = send()
    except httpx.HTTPError as error:
        return LOST if isinstance(error, httpx.TimeoutException) else f"{type(error).__name__}"
    if response.status_code == 200:
        return "200"
    return f"{response.status_code} {response.json()['code']}"


def judged(fault: str, result: str, allowed: Collection[str], about: str = "") -> Outcome:
    """An outcome that is wrong unless its result is allowed."""
    return Outcome(fault, result, "" if result in allowed else f"{about} may give {allowed}")


def at_once(work: Iterable[Callable[[], Outcome]]) -> Iterator[Outcome]:
    """Run each piece of work, several at the same time."""
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        yield from threads.map(lambda piece: piece(), work)


class Undisturbed:
    """What a server answers about whole clips before faults; it must answer the same later.

    Each question is about another copy of the clip, in `folder`: the frame pool does not have it.
    """

    def __init__(
        self, server: Server, folder: Path, clips: Iterable[Path], tasks: dict[str, Any]
    ) -> None:
        self._server = server
        self._folder = folder
        self._copies = itertools.count()
        self._cases = [(task, clip, fields) for task, fields in tasks.items() for clip in clips]
        self._expected = [self._answer(number) for number in range(len(self._cases))]

    def again(self, number: int) -> Outcome:
        """Ask once more about one of the clips."""
        number %= len(self._cases)
        task, clip, _ = self._cases[number]
        try:
            answer = self._answer(number)
        except httpx.HTTPError as error:
            return Outcome(WHOLE, LOST, str(error))
        same = answer == self._expected[number]
        wrong = "" if same else f"{task} about {clip.name} changed: {answer}"
        return Outcome(WHOLE, "200" if same else "another answer", wrong)

    def all_again(self) -> list[Outcome]:
        """Ask once more about all."""
        return [self.again(number) for number in range(len(self._cases))]

    def _answer(self, number: int) -> dict[str, Any]:
        """The answer but for what may vary, or the problem."""
        task, clip, fields = self._cases[number]
        copy_number = next(self._copies)
        copy = distinct_copy(clip, self._folder / f"whole-{copy_number}.mp4", copy_number)
        response = self._server.infer(task, copy, **fields)
        copy.unlink()
        answer = payload(response.json())
        answer.pop("input_hash", None)
        return answer


def check_whole(server: Server) -> None:
    """The front is alive, no worker was replaced, and nothing but the pool is in /dev/shm."""
    assert server.process.poll() is None
    until(server, lambda: server.metric("eioku_requests_in_progress") == 0)
    assert server.metric("eioku_worker_restarts_total") == 0
    assert len(segments(server)) == 1
    errors = [e for e in server.log if e.get("level") in ("ERROR", "CRITICAL")]
    unexpected = [e for e in errors if e["event"] not in EXPECTED_ERRORS]
    assert not unexpected, unexpected


def alive(server: Server) -> None:
    """The front answers."""
    assert server.client.get("/livez").status_code == 200


def until(server: Server, condition: Callable[[], bool]) -> None:
    """Wait for a condition; the front answers all the while."""
    end = time.monotonic() + DEADLINE_S
    alive(server)
    while not condition():
        assert time.monotonic() < end
        alive(server)


def segments(server: Server) -> list[str]:
    """What the server has in /dev/shm."""
    return [name for name in os.listdir(SHM) if name.startswith(f"eioku-{server.process.pid}-")]


def check_ended(server: Server) -> None:
    """After SIGTERM: exit code 0, and nothing left in /dev/shm."""
    assert server.stop() == 0
    assert segments(server) == []
