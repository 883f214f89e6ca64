"""Latency in an open loop counts from the intended start, so that a stall shows in full."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace

import pytest
from virtual_time import VirtualTime

from bench.load import loops
from bench.load.loops import DROPPED, OK, Answer, Ask, Sample, arrivals, closed_loop, open_loop


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    """A loop in virtual time, whose clock the measured loops read too."""
    virtual = VirtualTime()
    monkeypatch.setattr(loops, "time", SimpleNamespace(monotonic=virtual.time))
    return virtual


class Gated:
    """A service with so many connections, which answers at once while its gate is open."""

    def __init__(self, connections: int) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self._connections = asyncio.Semaphore(connections)

    async def ask(self) -> Answer:
        async with self._connections:
            self.asked += 1
            await self.gate.wait()
        return Answer(OK)


STALL_S = 0.5


class Stall:
    """Shuts the gate once `before` requests are answered, opens it when `during` more are due.

    Tells the loop to stop `before` answers after the end of the stall.
    """

    def __init__(self, server: Gated, before: int, during: int) -> None:
        self.samples: list[Sample] = []
        self.stop = asyncio.Event()
        self.shut_s = self.opened_s = 0.0
        self.asked_during = 0
        self._server = server
        self._before, self._during = before, during
        self._left = before

    async def prepare(self) -> Ask:
        if not self._server.gate.is_set():
            self._during -= 1
            if self._during == 0:
                self.open()
        return self._server.ask

    def open(self) -> None:
        self.asked_during = self._server.asked - self.asked_during
        self.opened_s = asyncio.get_running_loop().time()
        self._server.gate.set()

    def record(self, sample: Sample) -> None:
        self.samples.append(sample)
        self._left -= 1
        if self._left == 0 and not self.shut_s:
            self.shut_s = asyncio.get_running_loop().time()
            self.asked_during = self._server.asked
            self._server.gate.clear()
        elif self._left == -self._before:
            self.stop.set()


def test_an_open_loop_shows_a_stall_in_every_request_that_was_meant_for_it(
    virtual: VirtualTime,
) -> None:
    async def measure() -> Stall:
        stall = Stall(Gated(connections=1), before=20, during=20)
        await open_loop(stall.prepare, stall.record, stall.stop, rate=100, seed=3)
        return stall

    stall = virtual.run(measure())
    meant = [each for each in stall.samples if stall.shut_s < each.intended_s < stall.opened_s]
    assert len(meant) == 19  # the twentieth opens the gate
    assert stall.asked_during == 1  # the service itself knows of one slow request
    for sample in meant:
        assert sample.ok
        waited_ms = (stall.opened_s - sample.intended_s) * 1000
        assert sample.latency_ms == pytest.approx(waited_ms, abs=1e-6)


def test_what_waits_for_the_loop_itself_counts_too(virtual: VirtualTime) -> None:
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

    samples = virtual.run(measure())
    meant = list(itertools.islice(arrivals(0.0, rate=200, seed=2), len(samples)))
    for sample, meant_s in zip(samples, meant, strict=True):
        since_first_s = sample.intended_s - samples[0].intended_s
        assert since_first_s == pytest.approx(meant_s - meant[0], abs=1e-6)
    late = [sample for sample in samples if sample.sent_s - sample.intended_s > 0.02]
    assert len(late) > 5
    assert all(sample.latency_ms > 20 for sample in late)


def test_a_closed_loop_shows_it_in_those_in_flight_alone(virtual: VirtualTime) -> None:
    async def measure() -> Stall:
        server = Gated(connections=2)
        stall = Stall(server, before=20, during=-1)
        loop = asyncio.ensure_future(closed_loop(stall.prepare, stall.record, stall.stop, 2))
        while server.gate.is_set() or server.asked < len(stall.samples) + 2:
            await asyncio.sleep(0)
        await asyncio.sleep(STALL_S)
        stall.open()
        await loop
        return stall

    stall = virtual.run(measure())
    waited = [each for each in stall.samples if each.sent_s < stall.opened_s <= each.done_s]
    assert [each.latency_ms for each in waited] == pytest.approx([STALL_S * 1000] * 2)
    assert len(stall.samples) > 2 * len(waited)
    assert all(each.latency_ms == 0 for each in stall.samples if each not in waited)
    assert all(sample.intended_s <= sample.sent_s for sample in stall.samples)


def test_too_many_in_flight_are_dropped_and_told_of(virtual: VirtualTime) -> None:
    async def measure() -> list[Sample]:
        server = Gated(connections=9)
        server.gate.clear()
        stop = asyncio.Event()
        samples: list[Sample] = []

        def record(sample: Sample) -> None:
            samples.append(sample)
            if len(samples) == 5:
                stop.set()
                server.gate.set()

        async def prepare() -> Ask:
            return server.ask

        await open_loop(prepare, record, stop, rate=500, seed=1, most_in_flight=3)
        return samples

    samples = virtual.run(measure())
    assert [sample.answer.code for sample in samples] == [DROPPED] * 5 + [OK] * 3


def test_arrivals_are_a_poisson_process_and_the_same_for_the_same_seed() -> None:
    times = list(itertools.islice(arrivals(10.0, rate=50, seed=4), 20_000))
    gaps = [after - before for before, after in itertools.pairwise([10.0, *times])]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1 / 50, rel=0.02)
    assert deviation == pytest.approx(mean, rel=0.03)  # as of an exponential distribution
    assert times[:9] == list(itertools.islice(arrivals(10.0, rate=50, seed=4), 9))
    assert times[:9] != list(itertools.islice(arrivals(10.0, rate=50, seed=5), 9))
