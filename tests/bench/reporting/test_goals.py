"""Limits and aims, of figures that should be high or low."""

from __future__ import annotations

from bench.reporting.goals import Goal


def test_a_ratio_should_be_high() -> None:
    goal = Goal(2.5, 3)
    assert goal.words == "2.5 / 3"
    assert [goal.verdict(ratio) for ratio in (2.4, 2.5, 3)] == ["MISSED", "met", "aim"]


def test_a_time_should_be_low() -> None:
    goal = Goal(3, at_most=True, unit=" ms")
    assert goal.words == "3 ms"
    assert [goal.verdict(milliseconds) for milliseconds in (3.1, 3, 0.1)] == [
        "MISSED",
        "met",
        "met",
    ]
