"""Sides take turns, failures stay with their side, and a row names goals and differences."""

from __future__ import annotations

from pathlib import Path

from bench.compare.rounds import Contest, Item, Meeting, Turn, WorkDiffers, meet
from bench.compare.rows import Pairing, rows
from bench.reporting.goals import Goal

CONTEST = Contest("scenes", {"scenes": {}}, Path("clip.mp4"))
SCENE: Item = {"start_ms": 0.0, "end_ms": 1000.0}


class Side:
    """A side with given times; it logs its calls."""

    def __init__(self, name: str, log: list[str], seconds: list[float], item: Item = SCENE) -> None:
        self._name, self._log, self._seconds, self._item = name, log, iter(seconds), item

    def warm_up(self, contest: Contest) -> None:
        self._log.append(f"{self._name} warm")

    def run(self, contest: Contest) -> Turn:
        self._log.append(self._name)
        seconds = next(self._seconds, None)
        if seconds is None:
            raise WorkDiffers("out of frames")
        return Turn(seconds, {"scenes": [self._item]})


def meeting(theirs: list[float], ours: list[float], item: Item = SCENE) -> Meeting:
    sides = {"A": Side("A", [], theirs), "B": Side("B", [], ours, item)}
    return meet(CONTEST, sides, len(theirs), lambda _: None)


def test_every_other_round_is_in_reverse_order() -> None:
    log: list[str] = []
    steps: list[str] = []
    sides = {name: Side(name, log, [1, 1, 1]) for name in "ABC"}
    meet(CONTEST, sides, 3, steps.append)
    assert log == ["A warm", "B warm", "C warm", *"ABC", *"CBA", *"ABC"]
    assert len(steps) == 12


def test_a_ratio_is_the_median_of_the_pairs_with_its_range() -> None:
    drifting = meeting([3, 30, 12], [1, 10, 6])
    assert drifting.ratios("A", "B") == [3, 3, 2]
    assert (drifting.seconds("A"), drifting.seconds("B")) == (12, 6)
    (row,) = rows(drifting, [Pairing("A", "B", Goal(2.5, 3))])
    assert row == (
        *("scenes", "A", "B", "12.00", "6.00"),
        *("3.00 (2.00–3.00), 3", "2.5 / 3", "aim", "scenes 1 (100.0%)"),
    )
    assert drifting.raw()["rounds"][1]["A"] == {"seconds": 30}


def test_a_row_says_whether_the_limit_is_met() -> None:
    results = [
        rows(meeting([seconds], [1]), [Pairing("A", "B", Goal(2.5, 3))])[0][7]
        for seconds in (2, 2.5, 3)
    ]
    assert results == ["MISSED", "met", "aim"]


def test_a_side_that_fails_has_no_later_turns_and_spoils_no_other() -> None:
    log: list[str] = []
    sides = {"A": Side("A", log, [1]), "B": Side("B", log, [1] * 3), "C": Side("C", log, [1] * 3)}
    met = meet(CONTEST, sides, 3, lambda _: None)
    assert met.failures == {"A": "out of frames"}
    assert log.count("A") == 2
    failed, whole = rows(met, [Pairing("A", "B"), Pairing("C", "B")])
    assert failed[7] == "FAILED: A: out of frames"
    assert whole[5] == "1.00 (1.00–1.00), 3"


def test_stand_ins_are_named() -> None:
    answers = {task: {"provenance": {"stand_in": task == "places"}} for task in ("ocr", "places")}
    met = Meeting(CONTEST, [{"service": Turn(1, {}, {}, answers)}])
    assert met.stand_ins("service") == " Untrained stand-ins for: places."
    assert met.stand_ins("another") == ""


def test_different_results_fail_a_row_of_equal_work_only() -> None:
    late = meeting([2], [1], {"start_ms": 0.0, "end_ms": 1400.0})
    equal, loose = rows(late, [Pairing("A", "B"), Pairing("A", "B", equal=False)])
    assert equal[7] == "FAILED: different results: scenes"
    assert loose[7] == ""
    assert equal[8] == loose[8] == "scenes 1 (0.0%)"
