"""Runs every level of every sweep of `load`, in sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from bench.load.loops import closed_loop, open_loop
from bench.load.points import CLOSED, OPEN, Level, Loop, Point, measure
from bench.load.scenarios import Asker, Call, Clip, Document, post, read
from bench.load.stability import AGREEING_WINDOWS

# Poisson arrivals in equal windows vary by sqrt(requests). With this many, three in a row of ten
# windows agree within 10 % with a probability of 0.94; with 20, of 0.29 (simulated).
ENOUGH_REQUESTS = 200


class LoadFailed(Exception):
    """The service cannot be measured; the message says why."""


@dataclass(frozen=True)
class Sweep:
    """A scenario's calls, for one kind of file, in the given loops."""

    scenario: str
    files: str
    loops: tuple[str, ...]
    kinds: tuple[Call, ...]


@dataclass(frozen=True)
class Plan:
    """What to measure. `rates` are shares of the best closed-loop rate.

    A window lasts `window_s`; in an open loop up to `longest_window_s`, so that it has enough
    requests. All points together should last `budget_s`: each gets its share of the remaining time,
    but at least three windows. When no time remains, the remaining points are skipped.
    """

    sweeps: Sequence[Sweep]
    concurrencies: Sequence[int]
    rates: Sequence[float]
    window_s: float
    longest_window_s: float
    most_windows: int
    budget_s: float
    seed: int

    @property
    def points(self) -> int:
        """The total number of points."""
        numbers = {CLOSED: len(self.concurrencies), OPEN: len(self.rates)}
        return sum(numbers[loop] for sweep in self.sweeps for loop in sweep.loops)

    def window_of(self, level: Level) -> float:
        """Seconds of a window at this level."""
        if level.loop == CLOSED:
            return self.window_s
        return max(self.window_s, min(self.longest_window_s, ENOUGH_REQUESTS / level.load))


class Sweeper:
    """Runs a plan; `show` receives the current step and the number of finished points.

    Measured points are in `points`, skipped ones in `left_out`.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        clip: Clip,
        plan: Plan,
        show: Callable[[str, int], None],
    ) -> None:
        self.points: list[Point] = []
        self.left_out: list[Level] = []
        self.provenances: dict[str, Document] = {}
        self._client = client
        self._clip = clip
        self._plan = plan
        self._show = show
        self._end_s = time.monotonic() + plan.budget_s

    async def run(self) -> None:
        """Measure all points; raises LoadFailed."""
        for sweep in self._plan.sweeps:
            if self._left_s > 0:
                await self._warm_up(sweep)
            best = 0.0
            for concurrency in self._plan.concurrencies:
                level = Level(sweep.scenario, sweep.files, CLOSED, concurrency)
                loop = partial(closed_loop, self._asker(sweep).prepare, concurrency=concurrency)
                best = max(best, await self._measure(level, loop))
            if OPEN not in sweep.loops or best == 0:
                continue  # without a closed-loop result, there is no rate to derive
            for place, share in enumerate(self._plan.rates):
                rate, seed = share * best, self._plan.seed + place
                level = Level(sweep.scenario, sweep.files, OPEN, rate)
                loop = partial(open_loop, self._asker(sweep).prepare, rate=rate, seed=seed)
                await self._measure(level, loop)

    def _asker(self, sweep: Sweep) -> Asker:
        fresh = sweep.files == "fresh"
        return Asker(self._client, sweep.kinds, self._clip, fresh, self._plan.seed)

    async def _warm_up(self, sweep: Sweep) -> None:
        """Send each call once: loads the models, and detects failures early."""
        for call in sweep.kinds:
            self._show(f"{sweep.scenario}: first requests, which load models", len(self.points))
            try:
                reply = await post(self._client, call, self._clip.path)
            except httpx.TransportError as error:
                raise LoadFailed(f"{call.path}: {type(error).__name__}: {error}") from error
            responses, errors = read(call, reply)
            if errors:
                raise LoadFailed(f"{call.path} answers {', '.join(errors)}: {reply.text[:2000]}")
            for response in responses:
                provenance = response["provenance"]
                self.provenances[provenance["model_name"]] = provenance

    async def _measure(self, level: Level, loop: Loop) -> float:
        """Measure a point, if time remains; return its requests per second, or 0."""
        if self._left_s <= 0:
            self.left_out.append(level)
            return 0.0
        done = len(self.points)
        window_s = self._plan.window_of(level)
        windows = self._windows_allowed(window_s)
        passed = 0

        def on_window() -> None:
            nonlocal passed
            passed += 1
            name = f"{level.scenario}, {level.files}, {level.name}"
            self._show(f"{name}: window {passed} of {windows} at most", done)

        point = await measure(level, loop, self._client, window_s, windows, on_window)
        self.points.append(point)
        return point.requests_per_s

    def _windows_allowed(self, window_s: float) -> int:
        share_s = self._left_s / (self._plan.points - len(self.points))
        fair = min(share_s / window_s, self._plan.most_windows)
        return max(AGREEING_WINDOWS, int(fair))

    @property
    def _left_s(self) -> float:
        return self._end_s - time.monotonic()
