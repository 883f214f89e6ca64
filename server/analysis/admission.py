"""How many requests are let in, and when the others should come back."""

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
    """Counts the requests that are in; refuses more than `most`."""

    def __init__(self, most: int) -> None:
        self.admitted = 0
        self._most = most
        self._interval_s = FIRST_GUESS_S
        self._last_end = time.monotonic()

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place; raises Problem (overloaded) where there is none."""
        if self.admitted >= self._most:
            raise Problem(
                "overloaded",
                f"{self.admitted} requests are being answered or waiting, as many as this service "
                "takes (MAX_QUEUED_REQUESTS). Try again after the time in Retry-After.",
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
        """Learn how far apart answers are while there is work: a moving average."""
        now = time.monotonic()
        self._interval_s += SMOOTHING * (now - self._last_end - self._interval_s)
        self._last_end = now

    def _retry_after_s(self) -> int:
        """When half of the requests that are in should be through."""
        return max(1, min(LONGEST_RETRY_S, math.ceil(self._interval_s * self.admitted / 2)))
