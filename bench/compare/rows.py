"""The table of a meeting: one row per pair of sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.compare.agreement import agreement
from bench.compare.rounds import Meeting
from bench.reporting.goals import Goal

COLUMNS = (
    "work",
    "alternative",
    "service",
    "alternative, s",
    "service, s",
    "ratio (min–max), pairs",
    "limit / aim",
    "result",
    "items (agreement)",
)


@dataclass(frozen=True)
class Pairing:
    """Two sides to compare. With `equal`, results that differ too much fail the row."""

    theirs: str
    ours: str
    goal: Goal | None = None
    equal: bool = True


def rows(meeting: Meeting, pairings: Sequence[Pairing]) -> list[tuple[str, ...]]:
    """One row per pairing; a failure is named in it."""
    return [_row(meeting, pairing) for pairing in pairings]


def _row(meeting: Meeting, pairing: Pairing) -> tuple[str, ...]:
    goal, names = pairing.goal, (pairing.theirs, pairing.ours)
    start = (meeting.contest.what, *names)
    wanted = goal.words if goal else ""
    failed = [f"{name}: {meeting.failures[name]}" for name in names if name in meeting.failures]
    pairs = meeting.pairs(*names)
    if failed or not pairs:
        return (*start, "", "", "", wanted, f"FAILED: {'; '.join(failed)}", "")
    ratios = meeting.ratios(*names)
    found = agreement(pairs)
    ratio = median(ratios)
    verdict = goal.verdict(ratio) if goal else ""
    if pairing.equal and found.different:
        verdict = f"FAILED: different results: {', '.join(found.different)}"
    return (
        *start,
        *(f"{meeting.seconds(name):.2f}" for name in names),
        f"{ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f}), {len(ratios)}",
        wanted,
        verdict,
        found.words,
    )
