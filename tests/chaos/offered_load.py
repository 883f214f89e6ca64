"""Clients of an overloaded service: some send at a rate, some honour Retry-After."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from outcomes import LOST
from running import Server

from bench.load.loops import OK, Answer, Ask, Sample, closed_loop, open_loop

MOST_IN_FLIGHT = 2000
REFUSED = "429 overloaded"


@dataclass
class Clients:
    """All send the same request; `timeout_s` is their own deadline.

    `refusals` are the times in Retry-After, `tries` how often each polite request was sent.
    """

    server: Server
    clip: Path
    fields: dict[str, Any]
    timeout_s: float
    refusals: list[int] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self._client = httpx.AsyncClient(
            base_url=self.server.url, timeout=self.timeout_s, limits=limits
        )
        self._numbers = count()

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

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _prepare(self) -> Ask:
        return lambda: self._answer(f"request-{next(self._numbers)}")

    async def _ask_politely(self, delay_s: float) -> None:
        """Send a request until it is not refused, each time when Retry-After says."""
        await asyncio.sleep(delay_s)
        request_id = f"polite-{next(self._numbers)}"
        for tries in count(1):
            response = await self._send(request_id)
            if response.status_code != 429:
                assert response.status_code == 200, response.text
                self.tries.append(tries)
                return
            await asyncio.sleep(int(response.headers["Retry-After"]))

    async def _answer(self, request_id: str) -> Answer:
        try:
            response = await self._send(request_id)
        except httpx.TimeoutException:
            return Answer(LOST)
        except httpx.HTTPError as error:
            return Answer(type(error).__name__)
        if response.status_code == 200:
            return Answer(OK)
        if response.status_code == 429:
            self.refusals.append(int(response.headers["Retry-After"]))
        return Answer(f"{response.status_code} {response.json()['code']}")

    async def _send(self, request_id: str) -> httpx.Response:
        headers = {"X-Request-ID": request_id, "X-Request-Timeout": str(self.timeout_s)}
        body = {"video_path": str(self.clip), **self.fields}
        return await self._client.post("/infer/objects", json=body, headers=headers)


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
