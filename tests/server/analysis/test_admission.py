"""Admission and Retry-After, in virtual time: a service with a known capacity, and its clients."""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack

import pytest
from virtual_time import VirtualTime

from server.analysis.admission import LONGEST_RETRY_S, Admission
from server.analysis.promises import FIRST_GUESS, LATE_S, MOST_PROMISES, Promises
from server.errors import Problem

AT_ONCE = 2
SERVICE_S = 0.2
CAPACITY = AT_ONCE / SERVICE_S  # requests per second
FLOOD_S = 60
FACTOR = 5
MOST_TRIES = 4


class Service:
    """Answers `AT_ONCE` requests at the same time, in `SERVICE_S` on average."""

    def __init__(self, most: int, loop: VirtualTime) -> None:
        self.loop = loop
        self.admission = Admission(most, loop.time)
        self.ends: list[float] = []
        self._devices = asyncio.Semaphore(AT_ONCE)
        self._random = random.Random(1)

    async def ask(self, key: str) -> int | None:
        """Ask once; return the Retry-After of a refusal."""
        try:
            with self.admission.admit(key):
                async with self._devices:
                    await asyncio.sleep(SERVICE_S * self._random.uniform(0.5, 1.5))
                self.ends.append(self.loop.time())
        except Problem as problem:
            return int(problem.headers["Retry-After"])
        return None

    async def ask_politely(self, key: str) -> int:
        """Ask until accepted, at the times that the service names; return the number of tries."""
        tries = 1
        while (retry_after_s := await self.ask(key)) is not None:
            await asyncio.sleep(retry_after_s)
            tries += 1
        return tries

    async def flood(self, polite: float) -> list[int]:
        """Offer `FACTOR` times the capacity; return how often each polite request was sent."""
        clients: list[asyncio.Future[int]] = []
        others: list[asyncio.Future[int | None]] = []
        end = self.loop.time() + FLOOD_S
        while self.loop.time() < end:
            key = f"request-{len(clients) + len(others)}"
            if self._random.random() < polite:
                clients.append(asyncio.ensure_future(self.ask_politely(key)))
            else:
                others.append(asyncio.ensure_future(self.ask(key)))
            await asyncio.sleep(self._random.expovariate(FACTOR * CAPACITY))
        tries = await asyncio.gather(*clients)
        await asyncio.gather(*others)
        return tries


@pytest.mark.parametrize("polite", [1.0, 0.3, 0.1])
@pytest.mark.parametrize("most", [16, 64])
def test_a_polite_client_is_accepted_after_few_tries(most: int, polite: float) -> None:
    loop = VirtualTime()
    service = Service(most, loop)
    tries = loop.run(service.flood(polite))
    assert len(tries) > 0.5 * polite * FACTOR * CAPACITY * FLOOD_S
    assert max(tries) <= MOST_TRIES, sorted(tries)[-10:]


@pytest.mark.parametrize("polite", [1.0, 0.1, 0.0])
@pytest.mark.parametrize("most", [4, 64])
def test_no_capacity_is_lost(most: int, polite: float) -> None:
    loop = VirtualTime()
    service, start = Service(most, loop), loop.time()
    loop.run(service.flood(polite))
    ended = sum(end < start + FLOOD_S for end in service.ends)
    assert ended >= 0.95 * CAPACITY * FLOOD_S


class Clock:
    """A clock that the test moves, and requests that it starts and ends."""

    def __init__(self, most: int) -> None:
        self.now_s = 1000.0
        self.admission = Admission(most, lambda: self.now_s)
        self._admitted: list[ExitStack] = []

    def start(self, key: str = "another") -> ExitStack:
        """Admit a request; closing it ends the request."""
        admitted = ExitStack()
        admitted.enter_context(self.admission.admit(key))
        self._admitted.append(admitted)
        return admitted

    def retry_after_s(self, key: str) -> int:
        """When a refused request shall return."""
        with pytest.raises(Problem) as refusal:
            self.start(key)
        return int(refusal.value.headers["Retry-After"])

    def answer(self, count: int, seconds: float) -> None:
        """Answer requests, one after the other."""
        for _ in range(count):
            admitted = self.start()
            self.now_s += seconds
            admitted.close()


def test_the_time_is_that_of_the_line_before() -> None:
    clock = Clock(most=1)
    clock.answer(40, 2.0)
    clock.start()
    times = [clock.retry_after_s(f"client-{number}") for number in range(100)]
    expected = [2.2 * (FIRST_GUESS * number + 1) for number in range(100)]
    assert times == pytest.approx(expected, abs=1)


def test_the_time_is_bounded() -> None:
    clock = Clock(most=1)
    clock.answer(1, 10_000)
    clock.start()
    assert clock.retry_after_s("client") == LONGEST_RETRY_S


def test_a_service_that_has_answered_nothing_yet_is_not_guessed_to_be_slow() -> None:
    clock = Clock(most=64)
    for _ in range(64):
        clock.start()
    assert clock.retry_after_s("client") <= 2
    clock.now_s += 30
    assert clock.retry_after_s("another client") >= 30


def test_the_pace_of_answers_that_come_in_groups() -> None:
    clock = Clock(most=8)
    for _ in range(10):
        group = [clock.start() for _ in range(8)]
        clock.now_s += 8.0
        for admitted in group:
            admitted.close()
    for _ in range(8):
        clock.start()
    times = [clock.retry_after_s(f"client-{number}") for number in range(20)]
    expected = [1.1 * (FIRST_GUESS * number + 1) for number in range(20)]
    assert times == pytest.approx(expected, abs=1)


def test_who_returns_early_is_told_the_rest_of_the_time() -> None:
    clock = Clock(most=1)
    clock.answer(40, 20.0)
    clock.start()
    assert clock.retry_after_s("client") == 22
    clock.now_s += 10
    assert [clock.retry_after_s("client") for _ in range(3)] == [12, 12, 12]


def test_who_returns_in_time_takes_precedence() -> None:
    clock = Clock(most=8)
    for _ in range(8):
        clock.start()
    clock.now_s += clock.retry_after_s("client")
    clock.retry_after_s("another client")
    clock.start("client")
    assert clock.admission.admitted == 9


def test_who_returns_late_is_a_new_client() -> None:
    clock = Clock(most=8)
    for _ in range(8):
        clock.start()
    clock.now_s += clock.retry_after_s("client") + LATE_S + 1
    clock.retry_after_s("client")


def test_promises_are_bounded_and_forgotten() -> None:
    now_s = 0.0
    promises = Promises(lambda: now_s)
    for number in range(2 * MOST_PROMISES):
        promises.make(str(number), 1, 10)
    assert promises.expected(1) == FIRST_GUESS * MOST_PROMISES
    now_s = 10 + LATE_S + 1
    assert promises.expected(1) == 0
    assert promises.of("0") is None


def test_clients_that_never_return_are_not_waited_for() -> None:
    now_s = 0.0
    promises = Promises(lambda: now_s)
    for number in range(1000):
        promises.make(str(number), 1, 10)
        now_s += 1
    assert promises.expected(1) < 1
    for number in range(1000, 1200):
        promises.make(str(number), 1, 10)
        promises.keep(str(number))
    for number in range(100):
        promises.make(f"waiting-{number}", 1, 10)
    assert promises.expected(1) > 90
