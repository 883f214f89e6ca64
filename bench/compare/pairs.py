"""Runs two sides in turn on the same work, and compares their times and results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from bench.reporting.tables import Table

Fields = dict[str, Any]
Found = dict[str, int]

# Two decoders convert YUV to RGB slightly differently, so a box or a word at the threshold may
# appear or disappear; in half precision more do, which the drift table shows.
TOLERANCE = {"objects": 0.02, "faces": 0.02, "ocr": 0.05}


class WorkDiffers(Exception):
    """A side failed, or did different work; the message says how."""


@dataclass(frozen=True)
class Contest:
    """The work for both sides: `tasks` as in `POST /infer`, on one file.

    `requests` concurrent requests are made, each with its own file. `must` and `aim` are the
    required and the desired ratio of the libraries' time to the service's.
    """

    what: str
    tasks: Mapping[str, Fields]
    media: Path
    must: float | None = None
    aim: float | None = None
    precision: str = "fp32"
    requests: int = 1


@dataclass(frozen=True)
class Turn:
    """One run of one side: its seconds, and the number of items found per task.

    `detail` has further data to record, `answers` the service's responses.
    """

    seconds: float
    found: Found
    detail: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)


class Side(Protocol):
    """The service, or an alternative to it."""

    def warm_up(self, contest: Contest) -> None:
        """Load the models and use them once."""

    def run(self, contest: Contest) -> Turn:
        """Do the work once; raises WorkDiffers."""


@dataclass
class Outcome:
    """A contest's pairs of turns (libraries, service), or the reason why there are none."""

    contest: Contest
    pairs: list[tuple[Turn, Turn]] = field(default_factory=list)
    failure: str = ""

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios: a slow machine slows down both sides of a pair."""
        return median(theirs.seconds / ours.seconds for theirs, ours in self.pairs)

    @property
    def libraries_s(self) -> float:
        """The libraries' median time."""
        return median(theirs.seconds for theirs, _ in self.pairs)

    @property
    def service_s(self) -> float:
        """The service's median time."""
        return median(ours.seconds for _, ours in self.pairs)

    @property
    def answers(self) -> dict[str, Any]:
        """The service's last responses, by task."""
        return self.pairs[-1][1].answers if self.pairs else {}

    def raw(self) -> dict[str, Any]:
        """All measurements, for JSON."""
        return {
            "what": self.contest.what,
            "precision": self.contest.precision,
            "failure": self.failure,
            "ratio": self.ratio if self.pairs else None,
            "pairs": [
                {
                    side: {"seconds": turn.seconds, "found": turn.found, **turn.detail}
                    for side, turn in zip(("libraries", "service"), pair, strict=True)
                }
                for pair in self.pairs
            ],
        }


def compete(
    contest: Contest, libraries: Side, service: Side, pairs: int, step: Callable[[str], None]
) -> Outcome:
    """Warm up both sides, then run them in turn; a failure is stored in the outcome."""
    outcome = Outcome(contest)
    try:
        for side in (libraries, service):
            step(f"{contest.what}: warm-up")
            side.warm_up(contest)
        for _ in range(pairs):
            step(f"{contest.what}: libraries")
            theirs = libraries.run(contest)
            step(f"{contest.what}: service")
            ours = service.run(contest)
            outcome.pairs.append((theirs, ours))
            if differences := differing(theirs.found, ours.found, contest.precision):
                raise WorkDiffers(differences)
    except WorkDiffers as error:
        outcome.failure = str(error)
    return outcome


def differing(theirs: Found, ours: Found, precision: str) -> str:
    """A sentence on the tasks whose item counts differ too much; empty if none does."""
    wrong = []
    for task, expected in theirs.items():
        tolerance = TOLERANCE.get(task, 0.0)
        if tolerance and precision != "fp32":
            continue
        if abs(ours[task] - expected) > tolerance * expected:
            wrong.append(f"{task}: the service found {ours[task]}, the libraries {expected}")
    return "; ".join(wrong)


def table(name: str, title: str, rival: str, outcomes: Sequence[Outcome], note: str) -> Table:
    """One row per outcome; a failure replaces the ratio."""
    columns = ("what", f"{rival}, s", "service, s", "ratio", "must", "aim", "found")
    return Table(name, title, columns, [_row(outcome) for outcome in outcomes], note)


def _row(outcome: Outcome) -> tuple[str, ...]:
    contest = outcome.contest
    what = contest.what if contest.precision == "fp32" else f"{contest.what}, {contest.precision}"
    goals = [f"{goal:g}" if goal else "" for goal in (contest.must, contest.aim)]
    times = ("", "")
    found = ""
    if outcome.pairs:
        times = (f"{outcome.libraries_s:.2f}", f"{outcome.service_s:.2f}")
        theirs, ours = (turn.found for turn in outcome.pairs[-1])
        found = ", ".join(f"{task} {_both(theirs[task], ours[task])}" for task in theirs)
    if outcome.failure:
        return what, *times, f"FAILED: {outcome.failure}", *goals, found
    missed = " (missed)" if contest.must and outcome.ratio < contest.must else ""
    return what, *times, f"{outcome.ratio:.2f}{missed}", *goals, found


def _both(theirs: int, ours: int) -> str:
    return str(ours) if theirs == ours else f"{ours} for {theirs}"
