"""Percentiles, and when a measurement is stable.

The rule is that of NVIDIA's perf_analyzer (`DetermineStability` in its inference_profiler.cc, with
the default `--stability-percentage 10`): the last three windows are stable if none has zero
throughput, and the largest value is at most 10 % above the smallest, both in throughput and in mean
latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

AGREEING_WINDOWS = 3
MOST_DEVIATION = 0.1
QUANTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Window:
    """The successes between two times: their number per second, and their mean latency.

    Times are seconds from the start of the point; `mean_ms` is 0 if nothing succeeded.
    """

    start_s: float
    end_s: float
    requests_per_s: float
    mean_ms: float


def stable(windows: Sequence[Window]) -> bool:
    """Whether the last three windows agree."""
    last = windows[-AGREEING_WINDOWS:]
    return (
        len(last) == AGREEING_WINDOWS
        and all(window.requests_per_s > 0 for window in last)
        and _agree([window.requests_per_s for window in last])
        and _agree([window.mean_ms for window in last])
    )


def _agree(values: Sequence[float]) -> bool:
    return max(values) <= (1 + MOST_DEVIATION) * min(values)


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """The 50th, 90th, 95th and 99th percentile by nearest rank: each is one of the values.

    Without values, all are 0.
    """
    if not values:
        return (0.0,) * len(QUANTILES)
    found = np.percentile(np.asarray(values), QUANTILES, method="inverted_cdf")
    return tuple(float(value) for value in found)
