"""Limits the number of admitted requests, and estimates Retry-After for the others."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import Problem

FIRST_GUESS_S = 5.0
SMOOTHING = 0.2
LONGEST_RETRY_S = 600


class Admission:
    """Counts admitted requests; refuses more than `most`."""

    def __init__(self, most: int) -> None:
        self.admitted = 0
        self._most = most
        self._interval_s = FIRST_GUESS_S
        self._last_end = time.monotonic()

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Admit a request for the duration of the block; raises Problem (overloaded)."""
        if self.admitted >= self._most:
            raise Problem(
                "overloaded",
                f"{self.admitted} requests are running or waiting, the limit of this service "
                "(MAX_QUEUED_REQUESTS). Try again after the time in Retry-After.",
                retry_after_s=self._retry_after_s(),
            )
        if self.admitted == 0:
            self._last_end = time.monotonic()
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1
            self._ended()

    def _ended(self) -> None:
        """Update the average interval between ends of requests while there is work."""
        now = time.monotonic()
        self._interval_s += SMOOTHING * (now - self._last_end - self._interval_s)
        self._last_end = now

    def _retry_after_s(self) -> int:
        """The estimated time until half of the admitted requests have ended."""
        return max(1, min(LONGEST_RETRY_S, math.ceil(self._interval_s * self.admitted / 2)))
