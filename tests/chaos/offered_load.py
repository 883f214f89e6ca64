"""Clients of an overloaded service: some send at a rate, some honour Retry-After."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from outcomes import LOST
from raw_http import post
from running import Server

from bench.load.loops import OK, Answer, Ask, Sample, closed_loop, open_loop

MOST_IN_FLIGHT = 2000
REFUSED = "429"


@dataclass
class Clients:
    """All send the same request, each with a `task_id` of its own, by which it is recognised.

    `timeout_s` is their own deadline. `refusals` are the times in Retry-After, `tries` how often
    each polite request was sent.
    """

    server: Server
    clip: Path
    fields: dict[str, Any]
    timeout_s: float
    refusals: list[int] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = count()
        self._request = {"video_path": str(self.clip), **self.fields}

    async def at_capacity(self, concurrency: int, seconds: float) -> list[Sample]:
        """As many requests as the service can answer."""
        samples: list[Sample] = []
        stop = _after(seconds)
        await closed_loop(self._prepare, samples.append, stop, concurrency)
        return samples

    async def at_rate(self, rate: float, seconds: float, polite: int) -> list[Sample]:
        """Requests at a rate, whatever the answers, and polite ones at equal distances."""
        samples: list[Sample] = []
        stop = _after(seconds)
        flood = open_loop(self._prepare, samples.append, stop, rate, 1, MOST_IN_FLIGHT)
        others = [self._ask_politely(number * seconds / polite) for number in range(polite)]
        await asyncio.gather(flood, *others)
        return samples

    async def _prepare(self) -> Ask:
        return lambda: self._answer(f"request-{next(self._numbers)}")

    async def _ask_politely(self, delay_s: float) -> None:
        """Send a request until it is not refused, each time when Retry-After says."""
        await asyncio.sleep(delay_s)
        task_id = f"polite-{next(self._numbers)}"
        for tries in count(1):
            status, headers = await self._send(task_id)
            if status != 429:
                assert status == 200
                self.tries.append(tries)
                return
            await asyncio.sleep(int(headers["retry-after"]))

    async def _answer(self, task_id: str) -> Answer:
        try:
            status, headers = await asyncio.wait_for(self._send(task_id), self.timeout_s)
        except asyncio.TimeoutError:
            return Answer(LOST)
        except OSError as error:
            return Answer(type(error).__name__)
        if status == 429:
            self.refusals.append(int(headers["retry-after"]))
        return Answer(OK if status == 200 else str(status))

    async def _send(self, task_id: str) -> tuple[int, dict[str, str]]:
        """The status and the headers; on a connection of its own, as a client of its own has."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        body = json.dumps({**self._request, "task_id": task_id}).encode()
        lines = ["Content-Type: application/json", f"X-Request-Timeout: {self.timeout_s}"]
        writer.write(post(body, *lines))
        answer = (await reader.read(-1)).decode()
        writer.close()
        first, *rest = answer.split("\r\n\r\n", 1)[0].split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in rest)


def rate(samples: list[Sample], start_s: float, end_s: float) -> float:
    """The answers per second between two times."""
    return sum(start_s <= each.done_s < end_s for each in samples if each.ok) / (end_s - start_s)


def peak_rate(samples: list[Sample], window_s: float) -> float:
    """The highest rate of a window."""
    start_s, end_s = samples[0].sent_s, max(each.done_s for each in samples)
    windows = max(1, int((end_s - start_s) / window_s))
    starts = [start_s + number * window_s for number in range(windows)]
    return max(rate(samples, start, start + window_s) for start in starts)


def _after(seconds: float) -> asyncio.Event:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    return stop
