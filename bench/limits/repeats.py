"""Times a call repeatedly."""

from __future__ import annotations

import time
from collections.abc import Callable

ENOUGH = 9


def repeat(call: Callable[[], object], least: int, budget_s: float) -> list[float]:
    """Seconds of each call after a warm-up: `least` calls, and up to ENOUGH within `budget_s`."""
    call()
    times: list[float] = []
    while len(times) < least or (len(times) < ENOUGH and sum(times) < budget_s):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times
