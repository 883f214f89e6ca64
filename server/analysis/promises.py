"""When refused requests were told to return, and how many of them can be expected to do so."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MOST_PROMISES = 10_000
LATE_S = 5.0
FIRST_GUESS = 0.5
SMOOTHING = 0.02


@dataclass(frozen=True, order=True)
class Promise:
    """The time at which a request may return, and how often it was refused."""

    time_s: float
    refusals: int


class Promises:
    """Promises by the key of a request; those not kept within `LATE_S` are forgotten.

    Many clients do not return. So the share of kept promises is measured: otherwise, the line of
    those that wait would seem ever longer.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._promises: dict[str, Promise] = {}
        self._in_order: list[tuple[Promise, str]] = []
        self._counts: Counter[int] = Counter()
        self._kept = FIRST_GUESS

    def expected(self, refusals: int) -> float:
        """The number of requests that will probably return, refused at least so often."""
        self._forget()
        first = self._counts[1] if refusals == 1 else 0
        rest = sum(count for number, count in self._counts.items() if number >= max(2, refusals))
        return self._kept * first + rest

    def of(self, key: str) -> Promise | None:
        """What the request was promised."""
        self._forget()
        return self._promises.get(key)

    def make(self, key: str, refusals: int, wait_s: float) -> Promise:
        """Promise a time; at most `MOST_PROMISES` are remembered."""
        promise = Promise(self._now() + wait_s, refusals)
        self._pop(key)
        if len(self._promises) < MOST_PROMISES:
            self._promises[key] = promise
            self._counts[refusals] += 1
            heapq.heappush(self._in_order, (promise, key))
        return promise

    def keep(self, key: str) -> None:
        """The request has returned and is admitted."""
        if self._pop(key):
            self._learn(1.0)

    def _forget(self) -> None:
        while self._in_order and self._in_order[0][0].time_s < self._now() - LATE_S:
            promise, key = heapq.heappop(self._in_order)
            if self._promises.get(key) is promise:
                self._pop(key)
                self._learn(0.0)

    def _pop(self, key: str) -> bool:
        promise = self._promises.pop(key, None)
        if promise is not None:
            self._counts[promise.refusals] -= 1
        return promise is not None

    def _learn(self, kept: float) -> None:
        self._kept += SMOOTHING * (kept - self._kept)
