"""Timelines of processes, from the service's log."""

from __future__ import annotations

from pathlib import Path

from bench.load.timeline import Span, busy_s, lanes, read_spans

LOG = """\
{"time":"1970-01-01T00:01:40.500Z","process":"worker-0","event":"request answered","activity":"objects","ms":700.0}
a library writes what it likes
{"time":"1970-01-01T00:01:41.000Z","process":"decoder-0","event":"request answered","activity":"decode","ms":250.0}
{"time":"1970-01-01T00:01:42.500Z","process":"front","event":"request","path":"/infer/objects","status":200,"ms":1000.0}
{"time":"1970-01-01T00:01:41.500Z","process":"front","event":"request","path":"/metrics","status":200,"ms":1.0}
{"time":"1970-01-01T00:01:39.000Z","process":"worker-0","event":"request answered","activity":"load","ms":10.0}
{"time":"1970-01-01T00:01:50.000Z","process":"worker-0","event":"request answered","activity":"places","ms":10.0}
{"time":"1970-01-01T00:01:41.500Z","process":"front","event":"service ready"}
"""  # noqa: E501


def test_spans_are_clipped_to_the_requested_time(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text(LOG)
    assert read_spans(log, started_at=100.0, seconds=2.0) == [
        Span("worker-0", "objects", 0.0, 0.5),
        Span("decoder-0", "decode", 0.75, 1.0),
        Span("front", "request", 1.5, 2.0),
    ]


def test_overlapping_spans_get_lanes_of_their_own() -> None:
    spans = [Span("front", "request", *times) for times in ((0, 2), (1, 3), (1.999, 4), (2.5, 3))]
    assert [(lane, span.start_s) for lane, span in lanes(spans)] == [
        (0, 0),
        (1, 1),
        (0, 1.999),
        (2, 2.5),
    ]
    assert busy_s(spans) == 4
    assert busy_s([*spans, Span("front", "request", 6, 7)]) == 5
    assert busy_s([]) == 0
