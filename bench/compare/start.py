"""From the start of the service until it is ready."""

from __future__ import annotations

import time
from statistics import median

from bench.compare.setup import Setup
from bench.reporting.goals import Goal
from bench.reporting.tables import Table

GOAL = Goal(3, at_most=True, unit=" s")


def run(setup: Setup) -> list[Table]:
    """Start it several times, without preload."""
    seconds = []
    for number in range(setup.starts):
        setup.step(f"start to ready, {number + 1} of {setup.starts}")
        started = time.perf_counter()
        with setup.service():
            seconds.append(time.perf_counter() - started)
    middle = median(seconds)
    shown = f"{middle:.2f} s ({min(seconds):.2f}–{max(seconds):.2f}), {len(seconds)}"
    row = ("nothing preloaded", shown, GOAL.words, GOAL.verdict(middle))
    columns = ("start", "until ready (min–max), starts", "limit / aim", "result")
    return [Table("compare-start", "Start to ready", columns, [row])]
