"""Closed and open loop: when requests are sent, and how long each one takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

MOST_IN_FLIGHT = 256
OK = "ok"
DROPPED = "dropped"


@dataclass(frozen=True)
class Answer:
    """A request's outcome: `code` is OK, DROPPED, or the error's name.

    `video_ms` is the duration of the analysed video; the rest is the service's `timings_ms`.
    """

    code: str
    video_ms: float = 0.0
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0


@dataclass(frozen=True)
class Sample:
    """An answer, with the times when its request was due, was sent, and was answered.

    Times are seconds of `time.monotonic`.
    """

    intended_s: float
    sent_s: float
    done_s: float
    answer: Answer

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.answer.code == OK

    @property
    def latency_ms(self) -> float:
        """From the intended start to the end of the response."""
        return (self.done_s - self.intended_s) * 1000


Ask = Callable[[], Awaitable[Answer]]
Prepare = Callable[[], Awaitable[Ask]]
Record = Callable[[Sample], None]


async def closed_loop(
    prepare: Prepare, record: Record, stop: asyncio.Event, concurrency: int
) -> None:
    """Keep `concurrency` requests in flight until `stop`, then await those in flight.

    The time that `prepare` takes is not part of the latency.
    """

    async def one_after_another() -> None:
        while not stop.is_set():
            ask = await prepare()
            record(await _timed(ask, time.monotonic()))

    await asyncio.gather(*(one_after_another() for _ in range(concurrency)))


async def open_loop(
    prepare: Prepare,
    record: Record,
    stop: asyncio.Event,
    rate: float,
    seed: int,
    most_in_flight: int = MOST_IN_FLIGHT,
) -> None:
    """Send `rate` requests per second as a Poisson process until `stop`, however slow the answers.

    Latency counts from the intended start, so that waiting for a stalled service, or for this
    loop, is included (coordinated omission: G. Tene, "How NOT to Measure Latency"). With
    `most_in_flight` unanswered, an arrival is not sent, but recorded as DROPPED.
    """
    tasks: list[asyncio.Task[None]] = []
    in_flight = 0

    async def one(ask: Ask, intended_s: float) -> None:
        nonlocal in_flight
        record(await _timed(ask, intended_s))
        in_flight -= 1

    ask = await prepare()
    for intended_s in arrivals(time.monotonic(), rate, seed):
        if await _stopped_before(stop, intended_s):
            break
        if in_flight >= most_in_flight:
            now_s = time.monotonic()
            record(Sample(intended_s, now_s, now_s, Answer(DROPPED)))
            continue
        in_flight += 1
        tasks.append(asyncio.create_task(one(ask, intended_s)))
        ask = await prepare()
    await asyncio.gather(*tasks)


def arrivals(start_s: float, rate: float, seed: int) -> Iterator[float]:
    """Times of a Poisson process of `rate` per second from `start_s`: exponential gaps, seeded."""
    generator = random.Random(seed)
    while True:
        start_s += generator.expovariate(rate)
        yield start_s


async def _timed(ask: Ask, intended_s: float) -> Sample:
    sent_s = time.monotonic()
    answer = await ask()
    return Sample(intended_s, sent_s, time.monotonic(), answer)


async def _stopped_before(stop: asyncio.Event, time_s: float) -> bool:
    """Wait until `time_s`; return true if `stop` comes first."""
    wait_s = time_s - time.monotonic()
    if wait_s > 0:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s)
    return stop.is_set()
