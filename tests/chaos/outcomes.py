"""What a chaos test injects, and what comes of it: seeded numbers, outcomes, and their table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

SHORT_COUNT = 60  # of each part, in `make test`
SEED = int(os.environ.get("CHAOS_SEED", "1"))
COUNT = int(os.environ.get("CHAOS_COUNT", SHORT_COUNT))

LOST = "no answer"


def seeded(part: str, number: int) -> Random:
    """The random numbers of one fault, the same whichever others are injected."""
    return Random(f"{SEED}/{part}/{number}")


def share(part_of_count: float, least: int = 1) -> int:
    """A part of COUNT, for faults that take longer than others."""
    return max(least, round(COUNT * part_of_count))


@dataclass(frozen=True)
class Outcome:
    """What came of one fault: an HTTP status and code, or LOST. `wrong` says why it is wrong.

    `seconds` is how long it took, if that was measured; it is shown, and never judged.
    """

    fault: str
    result: str
    wrong: str = ""
    seconds: float = 0.0


@dataclass
class Table:
    """The outcomes of one part of the suite, counted by fault and result."""

    part: str
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    notes: dict[str, object] = field(default_factory=dict)
    slowest_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome; keep what is wrong about it."""
        self.counts[outcome.fault, outcome.result] += 1
        if outcome.seconds > self.slowest_s:
            self.slowest_s = outcome.seconds
            self.notes["slowest"] = f"{outcome.seconds:.1f} s ({outcome.fault})"
        if outcome.wrong:
            self.wrong.append(f"{outcome.fault}: {outcome.result}: {outcome.wrong}")

    def extend(self, outcomes: Iterable[Outcome]) -> None:
        """Count several outcomes."""
        for outcome in outcomes:
            self.add(outcome)

    @property
    def lost(self) -> int:
        """How many faults got no answer."""
        return sum(count for (_, result), count in self.counts.items() if result == LOST)

    def check(self, least: int = 1) -> None:
        """Fail if anything is wrong or lost, or if fewer than `least` faults were injected."""
        assert not self.wrong, "\n".join([f"{len(self.wrong)} wrong:", *self.wrong[:20]])
        assert self.lost == 0
        assert self.counts.total() >= least

    def lines(self) -> list[str]:
        """One line per fault, and the sums."""
        faults = sorted({fault for fault, _ in self.counts})
        width = max(map(len, faults), default=0)
        rows = [f"{fault:{width}}  {self._results(fault)}" for fault in faults]
        notes = [f"{name}: {value}" for name, value in self.notes.items()]
        sums = f"{self.counts.total()} faults, {self.lost} lost, {len(self.wrong)} wrong"
        return [f"{self.part} (seed {SEED})", *rows, "; ".join([sums, *notes]), ""]

    def _results(self, fault: str) -> str:
        found = {result: n for (of, result), n in self.counts.items() if of == fault}
        return ", ".join(f"{result} × {n}" for result, n in sorted(found.items()))
