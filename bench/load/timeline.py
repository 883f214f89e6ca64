"""What each process of the service did when, from its own log at level DEBUG."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FRONT = "front"
ROUNDING_S = 0.002  # the log's times are in whole milliseconds


@dataclass(frozen=True)
class Span:
    """An activity of a process from `start_s` to `end_s`, in seconds from the timeline's start.

    `activity` is a task's name, `decode`, `probe`, `load`, …; the front's is `request`.
    """

    process: str
    activity: str
    start_s: float
    end_s: float


def read_spans(log: Path, started_at: float, seconds: float) -> list[Span]:
    """Spans within `seconds` from `started_at`, which is in seconds since the epoch."""
    with log.open() as lines:
        spans = [span for line in lines if (span := _span(line, started_at)) is not None]
    return [
        Span(span.process, span.activity, max(span.start_s, 0.0), min(span.end_s, seconds))
        for span in spans
        if span.end_s > 0 and span.start_s < seconds
    ]


def lanes(spans: Iterable[Span]) -> Iterator[tuple[int, Span]]:
    """Each span with the lowest lane in which it overlaps no earlier one, except by rounding."""
    ends: list[float] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        lane = next(
            (i for i, end_s in enumerate(ends) if end_s <= span.start_s + ROUNDING_S), len(ends)
        )
        ends[lane : lane + 1] = [span.end_s]
        yield lane, span


def busy_s(spans: Sequence[Span]) -> float:
    """Seconds in which at least one span is active."""
    total_s = end_s = 0.0
    for span in sorted(spans, key=lambda span: span.start_s):
        total_s += max(0.0, span.end_s - max(span.start_s, end_s))
        end_s = max(end_s, span.end_s)
    return total_s


def _span(line: str, started_at: float) -> Span | None:
    """The span of a log line, if it has one."""
    try:
        event = json.loads(line)
    except ValueError:
        return None  # libraries write non-JSON lines to the same file
    if event["event"] == "request answered":
        process, activity = event["process"], event["activity"]
    elif event["event"] == "request" and event["path"].startswith("/infer"):
        process, activity = FRONT, "request"
    else:
        return None
    end_s = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp() - started_at
    return Span(process, activity, end_s - event["ms"] / 1000, end_s)
