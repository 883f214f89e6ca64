"""Limits the number of admitted requests, and tells the others when to return."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from server.analysis.promises import Promises
from server.errors import Problem

FIRST_GUESS_S = 1.0
INTERVALS = 32
MARGIN = 1.1  # requests that return use a little less than what the service can do
SPARE = 4
MOST_QUARTERS = 4
LONGEST_RETRY_S = 600
EARLY_S = 0.1  # what counts as returned in time


class Admission:
    """Counts admitted requests; refuses more than `most`, with a time at which to return.

    A request that returns at its time, under the same key, takes precedence: there may be a quarter
    more for it, and one more for each time that it was refused again. So it is accepted after few
    tries, whatever others do.
    """

    def __init__(self, most: int, now: Callable[[], float] = monotonic) -> None:
        self.admitted = 0
        self._most = most
        self._now = now
        self._pace = _Pace(now)
        self._promises = Promises(now)

    @contextmanager
    def admit(self, key: str) -> Iterator[None]:
        """Admit a request for the duration of the block; raises Problem (overloaded)."""
        self.check(key)
        self._promises.keep(key)
        if self.admitted == 0:
            self._pace.resume()
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1
            self._pace.ended()

    def check(self, key: str) -> None:
        """Raise Problem (overloaded) if the request would be refused now."""
        promise = self._promises.of(key)
        in_time = promise is not None and promise.time_s <= self._now() + EARLY_S
        refusals = promise.refusals if promise and in_time else 0
        more = min(refusals, MOST_QUARTERS) * (self._most // 4 + SPARE)
        if self.admitted < self._most + more:
            return
        if promise is None or in_time:
            promise = self._promises.make(key, refusals + 1, self._wait_s(refusals + 1))
        raise Problem(
            "overloaded",
            f"{self.admitted} requests are running or waiting, the limit of this service "
            "(MAX_QUEUED_REQUESTS). Try again after the time in Retry-After.",
            retry_after_s=max(1, math.ceil(promise.time_s - self._now() - EARLY_S)),
        )

    def _wait_s(self, refusals: int) -> int:
        """When a request that was refused so often may return: after all that come before it."""
        before = self._promises.expected(refusals)
        wait_s = math.ceil(MARGIN * self._pace.interval_s * (before + 1))
        return max(1, min(LONGEST_RETRY_S, wait_s))


class _Pace:
    """The average interval between the ends of requests, while there are any."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._intervals: deque[float] = deque(maxlen=INTERVALS)
        self._last_end = now()

    def resume(self) -> None:
        """There was no request; there is one now."""
        self._last_end = self._now()

    def ended(self) -> None:
        """A request has ended."""
        self._intervals.append(self._now() - self._last_end)
        self._last_end = self._now()

    @property
    def interval_s(self) -> float:
        """The average, which grows while no request ends."""
        since_s = self._now() - self._last_end
        if not self._intervals:
            return max(FIRST_GUESS_S, since_s)
        return (sum(self._intervals) + since_s) / len(self._intervals)
