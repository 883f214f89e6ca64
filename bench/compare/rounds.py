"""Runs several sides in turn on the same work, and keeps their times and results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

Fields = dict[str, Any]
Item = dict[str, Any]  # as in the service's responses


class WorkDiffers(Exception):
    """A side failed, or did different work; the message says how."""


@dataclass(frozen=True)
class Contest:
    """The work for all sides: `tasks` as in `POST /infer`, on one file.

    `requests` concurrent requests are made, each with its own file.
    """

    what: str
    tasks: Mapping[str, Fields]
    media: Path
    requests: int = 1


@dataclass(frozen=True)
class Turn:
    """One run of one side: its seconds, and the items of each task.

    `detail` has further data to record, `answers` the service's whole responses.
    """

    seconds: float
    items: Mapping[str, Sequence[Item]]
    detail: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)


class Side(Protocol):
    """The service, or an alternative to it."""

    def warm_up(self, contest: Contest) -> None:
        """Load the models and use them once."""

    def run(self, contest: Contest) -> Turn:
        """Do the work once; raises WorkDiffers."""


@dataclass
class Meeting:
    """The turns of each round by the name of the side; a side that failed has no later turns."""

    contest: Contest
    rounds: list[dict[str, Turn]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def pairs(self, theirs: str, ours: str) -> list[tuple[Turn, Turn]]:
        """The turns of the rounds that both sides finished."""
        return [
            (turns[theirs], turns[ours])
            for turns in self.rounds
            if theirs in turns and ours in turns
        ]

    def ratios(self, theirs: str, ours: str) -> list[float]:
        """Their time to ours, per round: a slow machine slows down both sides of a pair."""
        return [first.seconds / second.seconds for first, second in self.pairs(theirs, ours)]

    def seconds(self, name: str) -> float:
        """The median time of a side that finished a round."""
        return median(turns[name].seconds for turns in self.rounds if name in turns)

    def answers(self, name: str) -> Mapping[str, Any]:
        """The side's last whole responses, by task."""
        return next((turns[name].answers for turns in self.rounds[::-1] if name in turns), {})

    def stand_ins(self, name: str) -> str:
        """A sentence on the service's tasks that have no trained weights; empty if all have."""
        answers = self.answers(name).items()
        tasks = [task for task, answer in answers if answer["provenance"]["stand_in"]]
        return f" Untrained stand-ins for: {', '.join(tasks)}." if tasks else ""

    def raw(self) -> dict[str, Any]:
        """All measurements, for JSON."""
        return {
            "what": self.contest.what,
            "failures": self.failures,
            "rounds": [
                {name: {"seconds": turn.seconds, **turn.detail} for name, turn in turns.items()}
                for turns in self.rounds
            ],
        }


def meet(
    contest: Contest, sides: Mapping[str, Side], rounds: int, step: Callable[[str], None]
) -> Meeting:
    """Warm up all sides, then run them in turn; the order is reversed in every other round."""
    meeting = Meeting(contest)
    able = dict(sides)

    def attempt(name: str, doing: str, act: Callable[[Contest], Turn | None]) -> Turn | None:
        step(f"{contest.what}: {name}, {doing}")
        try:
            return act(contest)
        except WorkDiffers as error:
            meeting.failures[name] = str(error)
            del able[name]
            return None

    for name, side in sides.items():
        attempt(name, "warm-up", side.warm_up)
    for number in range(rounds):
        meeting.rounds.append({})
        for name in list(able)[:: -1 if number % 2 else 1]:
            turn = attempt(name, f"{number + 1} of {rounds}", able[name].run)
            if turn is not None:
                meeting.rounds[-1][name] = turn
    return meeting
