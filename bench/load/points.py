"""One point of a sweep: a level of load, held until its windows are stable."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import httpx

from bench.load.loops import Record, Sample
from bench.load.metrics_scrape import Scrape
from bench.load.stability import AGREEING_WINDOWS, Window, percentiles, stable

CLOSED = "closed"
OPEN = "open"

Loop = Callable[[Record, asyncio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Level:
    """A level of load: `loop` is CLOSED with a concurrency, or OPEN with requests per second."""

    scenario: str
    files: str
    loop: str
    load: float

    @property
    def name(self) -> str:
        """A short name of the level."""
        return f"{self.load:g} concurrent" if self.loop == CLOSED else f"{self.load:.3g}/s"


@dataclass(frozen=True)
class Split:
    """Mean milliseconds per request in each part of the service; they overlap."""

    queue_ms: float
    decode_ms: float
    inference_ms: float


@dataclass(frozen=True)
class Point:
    """The measurement at a level; the figures are of the last three windows.

    Rates count the requests answered in these windows. Latencies are, in a closed loop, of the same
    requests; in an open loop, of those due in the windows, whenever they were answered. Only
    successes have a latency; `errors` counts the others by code. `started_at` is in seconds since
    the epoch; `send_lag_ms` is the 99th percentile of how late requests were sent.
    """

    level: Level
    stable: bool
    windows: list[Window]
    started_at: float
    requests_per_s: float
    frames_per_s: float
    video_s_per_s: float
    latencies_ms: list[float]
    split: Split
    errors: dict[str, int]
    device_shares: dict[str, float]
    pool_hit_rate: float | None
    batch_sizes: dict[str, float]
    send_lag_ms: float

    @property
    def percentiles_ms(self) -> tuple[float, ...]:
        """The 50th, 90th, 95th and 99th percentile of the latencies."""
        return percentiles(self.latencies_ms)


async def measure(
    level: Level,
    loop: Loop,
    client: httpx.AsyncClient,
    window_s: float,
    most_windows: int,
    on_window: Callable[[], None],
) -> Point:
    """Run the loop until three windows agree, or for `most_windows`.

    A window lasts `window_s`, or longer until an answer arrives; `on_window` is called after each.
    """
    samples: list[Sample] = []
    answered, stop = asyncio.Event(), asyncio.Event()

    def record(sample: Sample) -> None:
        samples.append(sample)
        answered.set()

    started_at, start_s = time.time(), time.monotonic()
    scrapes, windows = [await _scrape(client)], list[Window]()
    running = asyncio.ensure_future(loop(record, stop))
    running.add_done_callback(lambda _: answered.set())
    while len(windows) < most_windows and not stable(windows):
        answered.clear()
        begin_s = windows[-1].end_s if windows else 0.0
        await asyncio.sleep(window_s)
        await answered.wait()
        if running.done():
            break  # it failed: see below
        scrapes.append(await _scrape(client))
        windows.append(_window(samples, start_s, begin_s, time.monotonic() - start_s))
        on_window()
    stop.set()
    await running
    change = scrapes[-1].since(scrapes[-1 - min(AGREEING_WINDOWS, len(windows))])
    return _point(level, samples, start_s, started_at, windows, change)


async def _scrape(client: httpx.AsyncClient) -> Scrape:
    return Scrape.parse((await client.get("/metrics")).raise_for_status().text)


def _window(samples: Sequence[Sample], start_s: float, begin_s: float, end_s: float) -> Window:
    latencies_ms = [
        sample.latency_ms
        for sample in samples
        if sample.ok and begin_s <= sample.done_s - start_s < end_s
    ]
    rate = len(latencies_ms) / (end_s - begin_s)
    return Window(begin_s, end_s, rate, fmean(latencies_ms) if latencies_ms else 0.0)


def _point(
    level: Level,
    samples: Sequence[Sample],
    start_s: float,
    started_at: float,
    windows: list[Window],
    change: Scrape,
) -> Point:
    """Summarise the last three windows; `change` is the change of the service's metrics."""
    last = windows[-AGREEING_WINDOWS:]
    begin_s, end_s = start_s + last[0].start_s, start_s + last[-1].end_s
    done = [sample for sample in samples if begin_s <= sample.done_s < end_s]
    meant = [sample for sample in samples if begin_s <= sample.intended_s < end_s]
    timed = done if level.loop == CLOSED else meant
    good = [sample for sample in timed if sample.ok]
    seconds = end_s - begin_s
    return Point(
        level=level,
        stable=stable(windows),
        windows=windows,
        started_at=started_at,
        requests_per_s=sum(sample.ok for sample in done) / seconds,
        frames_per_s=change.frames / seconds,
        video_s_per_s=sum(sample.answer.video_ms for sample in done) / 1000 / seconds,
        latencies_ms=sorted(round(sample.latency_ms, 2) for sample in good),
        split=_split(good),
        errors=dict(Counter(sample.answer.code for sample in timed if not sample.ok)),
        device_shares=change.device_shares,
        pool_hit_rate=change.pool_hit_rate,
        batch_sizes=change.batch_sizes,
        send_lag_ms=percentiles([(each.sent_s - each.intended_s) * 1000 for each in timed])[-1],
    )


def _split(good: Sequence[Sample]) -> Split:
    if not good:
        return Split(0.0, 0.0, 0.0)
    return Split(
        fmean(sample.answer.queue_ms for sample in good),
        fmean(sample.answer.decode_ms for sample in good),
        fmean(sample.answer.inference_ms for sample in good),
    )
