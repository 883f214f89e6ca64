"""How long a window lasts at each level."""

from __future__ import annotations

import pytest

from bench.load.points import CLOSED, OPEN, Level
from bench.load.sweeps import ENOUGH_REQUESTS, Plan


@pytest.mark.parametrize(
    ("loop", "load", "expected_s"),
    [
        (CLOSED, 1, 5),
        (OPEN, ENOUGH_REQUESTS / 20, 20),  # enough requests within 20 s
        (OPEN, ENOUGH_REQUESTS, 5),  # never shorter than the others
        (OPEN, 0.1, 60),
    ],
)
def test_slow_arrivals_get_longer_windows(loop: str, load: float, expected_s: float) -> None:
    plan = Plan([], [], [], 5, 60, 10, float("inf"), 1)
    assert plan.window_of(Level("single", "cached", loop, load)) == expected_s
