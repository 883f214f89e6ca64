"""Open-loop latency counts from the intended start, so that it includes a stall in full."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from bench.load.loops import DROPPED, OK, Answer, Ask, Sample, arrivals, closed_loop, open_loop


class Gated:
    """An HTTP server that responds immediately while its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self.connections: list[asyncio.Task[None]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.append(task)
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self.gate.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def gated(connections: int) -> AsyncIterator[tuple[Gated, Ask]]:
    """The server, and a request to it; the client has `connections` connections."""
    server = Gated()
    listening = await asyncio.start_server(server.answer, "127.0.0.1")
    port = listening.sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=connections)
    url = f"http://127.0.0.1:{port}/"
    async with listening:
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:

            async def ask() -> Answer:
                return Answer(OK if (await client.get(url)).status_code == 200 else "refused")

            yield server, ask
        await asyncio.gather(*server.connections)


class Stall:
    """Closes the gate after `before` answers, and opens it when `during` more requests are due.

    Stops the loop `before` answers after the end of the stall.
    """

    def __init__(self, server: Gated, ask: Ask, before: int, during: int) -> None:
        self.samples: list[Sample] = []
        self.stop = asyncio.Event()
        self.shut_s = self.opened_s = 0.0
        self.asked_during = 0
        self._server, self._ask = server, ask
        self._before, self._during = before, during
        self._left = before

    async def prepare(self) -> Ask:
        if not self._server.gate.is_set():
            self._during -= 1
            if self._during == 0:
                self.open()
        return self._ask

    def open(self) -> None:
        self.asked_during = self._server.asked - self.asked_during
        self.opened_s = time.monotonic()
        self._server.gate.set()

    def record(self, sample: Sample) -> None:
        self.samples.append(sample)
        self._left -= 1
        if self._left == 0 and not self.shut_s:
            self.shut_s = time.monotonic()
            self.asked_during = self._server.asked
            self._server.gate.clear()
        elif self._left == -self._before:
            self.stop.set()


def test_an_open_loop_shows_a_stall_in_every_request_that_was_meant_for_it() -> None:
    async def measure() -> Stall:
        async with gated(connections=1) as (server, ask):
            stall = Stall(server, ask, before=20, during=20)
            await open_loop(stall.prepare, stall.record, stall.stop, rate=100, seed=3)
        return stall

    stall = asyncio.run(measure())
    meant = [each for each in stall.samples if stall.shut_s <= each.intended_s < stall.opened_s]
    assert len(meant) >= 18
    assert stall.asked_during == 1  # the service itself sees only one slow request
    for sample in meant:
        assert sample.ok
        assert sample.latency_ms >= (stall.opened_s - sample.intended_s) * 1000
    lasted_ms = (stall.opened_s - stall.shut_s) * 1000
    assert max(sample.latency_ms for sample in meant) > lasted_ms * 0.7


def test_waiting_for_the_loop_itself_counts_too() -> None:
    async def measure() -> list[Sample]:
        samples: list[Sample] = []
        stop = asyncio.Event()

        def record(sample: Sample) -> None:
            samples.append(sample)
            if len(samples) == 30:
                stop.set()

        async def ask() -> Answer:
            return Answer(OK)

        async def prepare() -> Ask:
            if len(samples) == 5:
                await asyncio.sleep(0.1)
            return ask

        await open_loop(prepare, record, stop, rate=200, seed=2)
        return samples

    samples = asyncio.run(measure())
    meant = list(itertools.islice(arrivals(0.0, rate=200, seed=2), len(samples)))
    for sample, meant_s in zip(samples, meant, strict=True):
        since_first_s = sample.intended_s - samples[0].intended_s
        assert since_first_s == pytest.approx(meant_s - meant[0], abs=1e-6)
    late = [sample for sample in samples if sample.sent_s - sample.intended_s > 0.02]
    assert len(late) > 5
    assert all(sample.latency_ms > 20 for sample in late)


def test_a_closed_loop_shows_a_stall_only_in_requests_in_flight() -> None:
    async def measure() -> Stall:
        async with gated(connections=2) as (server, ask):
            stall = Stall(server, ask, before=20, during=-1)
            loop = asyncio.ensure_future(closed_loop(stall.prepare, stall.record, stall.stop, 2))
            while server.gate.is_set() or server.asked < len(stall.samples) + 2:
                await asyncio.sleep(0)
            stall.open()
            await loop
        return stall

    stall = asyncio.run(measure())
    waited = [each for each in stall.samples if each.sent_s < stall.opened_s <= each.done_s]
    assert len(waited) == 2
    assert all(sample.intended_s <= sample.sent_s for sample in stall.samples)


def test_too_many_in_flight_are_recorded_as_dropped() -> None:
    async def measure() -> list[Sample]:
        async with gated(connections=9) as (server, ask):
            server.gate.clear()
            stop = asyncio.Event()
            samples: list[Sample] = []

            def record(sample: Sample) -> None:
                samples.append(sample)
                if len(samples) == 5:
                    stop.set()
                    server.gate.set()

            async def prepare() -> Ask:
                return ask

            await open_loop(prepare, record, stop, rate=500, seed=1, most_in_flight=3)
        return samples

    samples = asyncio.run(measure())
    assert [sample.answer.code for sample in samples] == [DROPPED] * 5 + [OK] * 3


def test_arrivals_are_a_poisson_process_and_the_same_for_the_same_seed() -> None:
    times = list(itertools.islice(arrivals(10.0, rate=50, seed=4), 20_000))
    gaps = [after - before for before, after in itertools.pairwise([10.0, *times])]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1 / 50, rel=0.02)
    assert deviation == pytest.approx(mean, rel=0.03)  # as in an exponential distribution
    assert times[:9] == list(itertools.islice(arrivals(10.0, rate=50, seed=4), 9))
    assert times[:9] != list(itertools.islice(arrivals(10.0, rate=50, seed=5), 9))
