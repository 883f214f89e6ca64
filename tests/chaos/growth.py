"""Whether a process grows: a robust line through the second half of its samples.

The first half is warm-up: models, caches and the allocator reach their size. The slope is that of
Theil and Sen, the median of the slopes between all pairs of samples: single samples that are far
off, as when a process works at that moment, hardly change it. A process grows if the line rises by
more than a limit over the second half.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import median

from outcomes import Outcome

PER = 1000  # requests


@dataclass(frozen=True)
class Quantity:
    """What is measured of a process, and by how much it may rise over the second half."""

    name: str
    most: float
    measure: Callable[[Path], float]


def _memory_mb(process: Path) -> float:
    """The process's own memory, without the frame pool."""
    found = re.search(r"RssAnon:\s+(\d+) kB", (process / "status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _shm_mappings(process: Path) -> float:
    """The arena, and the semaphores of queues."""
    return (process / "maps").read_text().count(" /dev/shm/")


QUANTITIES = (
    Quantity("memory (MB)", 16.0, _memory_mb),
    Quantity("open files", 4.0, lambda process: len(os.listdir(process / "fd"))),
    # Thread pools of the front start up to 10 threads, one by one, whenever none is free.
    Quantity("threads", 6.0, lambda process: len(os.listdir(process / "task"))),
    Quantity("mappings of /dev/shm", 0.5, _shm_mappings),
)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of Theil and Sen."""
    return median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))


@dataclass
class Growth:
    """The samples of all processes, each as (requests so far, value)."""

    samples: dict[tuple[str, Quantity], list[tuple[float, float]]] = field(default_factory=dict)

    def sample(self, processes: Mapping[str, int], requests: int) -> None:
        """Measure each process, given by name and pid."""
        for name, pid in processes.items():
            for quantity in QUANTITIES:
                value = quantity.measure(Path("/proc", str(pid)))
                self.samples.setdefault((name, quantity), []).append((requests, value))

    def outcomes(self) -> list[Outcome]:
        """One for each process and quantity; it is wrong if the process grows."""
        return [
            self._outcome(name, quantity, points)
            for (name, quantity), points in self.samples.items()
        ]

    def _outcome(
        self, name: str, quantity: Quantity, points: Sequence[tuple[float, float]]
    ) -> Outcome:
        half = points[len(points) // 2 :]
        per_request = slope(half)
        rise = per_request * (half[-1][0] - half[0][0])
        result = (
            f"{half[-1][1]:.1f} at the end, {PER * per_request:+.2f} per {PER} requests, "
            f"{rise:+.2f} in the second half (limit {quantity.most:g})"
        )
        return Outcome(f"{name}: {quantity.name}", result, "" if rise <= quantity.most else "grows")
