"""The report shows all recorded data, errors and instability included."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.load import report
from bench.load.points import CLOSED, OPEN, Level, Point, Split
from bench.load.stability import Window
from bench.load.timeline import Span
from bench.reporting import page

LATE = Level("mixed", "fresh", OPEN, 2.5)
WORDS = {"single": "objects", **report.SCENARIO_WORDS}


def point(
    level: Level, rate: float, latencies_ms: Sequence[float], errors: dict[str, int], ok: bool
) -> Point:
    return Point(
        level=level,
        stable=ok,
        windows=[Window(i, i + 1, rate, 100.0) for i in range(3)],
        started_at=1e9,
        requests_per_s=rate,
        frames_per_s=rate * 10,
        video_s_per_s=rate * 10,
        latencies_ms=list(latencies_ms),
        split=Split(5, 40, 90),
        errors=errors,
        device_shares={"cuda:0": 0.75, "cuda:1": 0.25},
        pool_hit_rate=None if errors else 0.5,
        batch_sizes={"objects": 7.5},
        send_lag_ms=0.4,
    )


@pytest.fixture
def points() -> list[Point]:
    return [
        point(Level("single", "cached", CLOSED, 1), 8.0, [100, 110, 120], {}, True),
        point(Level("single", "cached", CLOSED, 4), 14.0, [250, 280, 900], {}, False),
        point(Level("single", "cached", OPEN, 7), 7.0, [110, 120, 130], {}, True),
        point(Level("mixed", "fresh", CLOSED, 4), 0.0, [], {"overloaded": 9}, False),
        point(Level("mixed", "fresh", CLOSED, 2), 3.0, [600, 650], {"dropped": 1}, True),
    ]


def test_tables_show_errors_and_instability(points: list[Point]) -> None:
    tables = report.tables(points, [LATE], WORDS)
    assert [table.name for table in tables] == [
        "load-closed-single-cached",
        "load-open-single-cached",
        "load-closed-mixed-fresh",
        "load-open-mixed-fresh",
    ]
    first, second = (dict(zip(tables[0].columns, row, strict=True)) for row in tables[0].rows)
    assert first["windows"] == "3, stable"
    assert (first["p50 ms"], first["p99 ms"]) == ("110", "120")
    assert first["devices"] == "cuda:0 75%, cuda:1 25%"
    assert second["windows"] == report.UNSTABLE
    assert report.UNSTABLE in tables[0].note
    assert not tables[1].note
    assert [row[tables[2].columns.index("errors")] for row in tables[2].rows] == [
        "overloaded 9",
        "dropped 1",
    ]
    assert not tables[3].rows
    assert tables[3].note == "Not measured, out of time: 2.5/s."


def test_the_page_has_every_section_and_needs_nothing_else(points: list[Point]) -> None:
    spans = [
        Span("front", "request", 0.0, 1.0),
        Span("worker-0", "objects", 0.5, 3.5),
        Span("decoder-0", "something new", 0.1, 0.2),
    ]
    sections = report.sections(
        points, [LATE], WORDS, {points[1].level: spans}, 4.0, {"machine": "2 cores & <more>"}
    )
    html = page.page("Load", "a subtitle", sections, report.UNSTABLE)
    assert [section.heading for section in sections] == [
        "At best 14 requests/s: same file, 4 concurrent",
        "Objects",
        "Objects, places and scenes: single, combined and streamed calls",
        "Method",
        "Environment",
    ]
    headings = [plot.heading for section in sections for plot in section.plots]
    assert headings == [
        "Throughput ends at 14 requests/s: same file, 4 concurrent",
        "Over all levels, the largest part is inference",
        "Same file, closed loop: at 4 concurrent, p99 is 3.2 times the median",
        "Same file, open loop: at 7/s, p99 is 1.1 times the median",
        "Same file, 4 concurrent: worker-0 is busy 75% of the first 4 s",
        "Throughput ends at 3 requests/s: new file, 2 concurrent",
        "Over all levels, the largest part is inference",
        "New file, closed loop: at 2 concurrent, p99 is 1.1 times the median",
    ]
    assert html.count("<svg") == html.count("</svg>") == len(headings)
    assert (
        html.count('<tr class="marked">') == 3
    )  # two points, and one that is the best of its sweep
    assert "2 cores &amp; &lt;more&gt;" in html
    assert "Not measured, out of time: mixed, new file, 2.5/s." in html
    assert "currentColor" in html
    assert "<script" not in html
    assert 'src="' not in html
    assert 'href="http' not in html


def test_a_service_that_answered_nothing_can_still_be_reported(points: list[Point]) -> None:
    sections = report.sections([points[3]], [], WORDS, {points[3].level: []}, 4.0, {})
    html = page.page("Load", "", sections, report.UNSTABLE)
    assert "overloaded 9" in html
    assert [plot.heading for section in sections for plot in section.plots] == [
        "Throughput ends at 0 requests/s: new file, 4 concurrent",
        "Over all levels, the largest part is queue",
    ]
