"""The ratio of two sides, and whether both did the same work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.clips.generate import make_small
from bench.clips.talk import count_with_text, stretches
from bench.compare.library_loops import Boxes, Libraries
from bench.compare.pairs import Contest, Outcome, Turn, WorkDiffers, compete, differing, table

CONTEST = Contest("scenes", {"scenes": {}}, Path("clip.mp4"), must=2.5, aim=3.5)


class Side:
    """A side with given times and counts; it logs its calls."""

    def __init__(self, name: str, log: list[str], seconds: list[float], found: int = 7) -> None:
        self._name, self._log, self._seconds, self._found = name, log, iter(seconds), found

    def warm_up(self, contest: Contest) -> None:
        self._log.append(f"{self._name} warm")

    def run(self, contest: Contest) -> Turn:
        self._log.append(self._name)
        return Turn(next(self._seconds), {"scenes": self._found})


def outcome(theirs: list[float], ours: list[float]) -> Outcome:
    turns = ([Turn(seconds, {"scenes": 7}) for seconds in side] for side in (theirs, ours))
    return Outcome(CONTEST, list(zip(*turns, strict=True)))


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    drifting = outcome([3, 30, 12], [1, 10, 6])
    assert drifting.ratio == 3
    assert (drifting.libraries_s, drifting.service_s) == (12, 6)
    assert [pair["libraries"]["seconds"] for pair in drifting.raw()["pairs"]] == [3, 30, 12]


def test_sides_take_turns_after_a_warm_up() -> None:
    log: list[str] = []
    steps: list[str] = []
    sides = Side("A", log, [3, 3]), Side("B", log, [1, 1])
    result = compete(CONTEST, *sides, 2, steps.append)
    assert log == ["A warm", "B warm", "A", "B", "A", "B"]
    assert len(steps) == 6
    assert (result.ratio, result.failure) == (3, "")


def test_different_work_fails_a_row() -> None:
    sides = Side("A", [], [3, 3]), Side("B", [], [1, 1], found=6)
    result = compete(CONTEST, *sides, 2, lambda _: None)
    assert result.failure == "scenes: the service found 6, the libraries 7"
    (row,) = table("compare", "", "libraries", [result], "").rows
    assert row[3] == f"FAILED: {result.failure}"
    assert row[-1] == "scenes 6 for 7"


def test_a_side_that_gives_up_fails_a_row() -> None:
    result = compete(CONTEST, Broken(), Broken(), 1, lambda _: None)
    assert table("compare", "", "libraries", [result], "").rows == [
        ("scenes", "", "", "FAILED: out of frames", "2.5", "3.5", "")
    ]


class Broken(Side):
    def __init__(self) -> None:
        super().__init__("", [], [])

    def run(self, contest: Contest) -> Turn:
        raise WorkDiffers("out of frames")


def test_boxes_may_differ_a_little_and_scenes_not_at_all() -> None:
    assert differing({"objects": 100, "places": 4}, {"objects": 98, "places": 4}, "fp32") == ""
    assert "97, the libraries 100" in differing({"objects": 100}, {"objects": 97}, "fp32")
    assert differing({"objects": 100}, {"objects": 50}, "bf16") == ""
    assert differing({"places": 4}, {"places": 3}, "bf16") != ""
    assert differing({"objects": 0}, {"objects": 1}, "fp32") != ""


def test_the_table_says_where_a_goal_is_missed() -> None:
    rows = table("compare", "", "libraries", [outcome([3], [1]), outcome([2], [1])], "").rows
    assert rows[0] == ("scenes", "3.00", "1.00", "3.00", "2.5", "3.5", "scenes 7")
    assert rows[1][3] == "2.00 (missed)"


def test_a_region_counts_if_any_segment_overlaps_it() -> None:
    spoken = stretches(120)
    assert spoken == [(0, 25), (75, 100)]
    assert count_with_text([(0.1, 3.0), (4.0, 9.0)], spoken) == 1
    assert count_with_text([(70.0, 75.5), (24.9, 26.0)], spoken) == 2
    assert count_with_text([(25.0, 75.0)], spoken) == 0


def test_ultralytics_own_loop_reads_as_many_frames_as_the_service(
    tmp_path: Path, weights_dir: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    make_small(clip, seconds=4)
    contest = Contest("objects", {"objects": {}}, clip)
    libraries = Libraries(weights_dir, [])
    libraries.warm_up(contest)
    turn = libraries.run(contest)
    assert turn.found["objects"] > 0
    assert turn.seconds == sum(turn.detail["each_s"].values()) > 0


def test_frames_that_ultralytics_does_not_read_are_reported(
    tmp_path: Path, weights_dir: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    make_small(clip, seconds=2.5)  # frames 0, 30 and 60, but only two 30th frames
    boxes = Boxes(weights_dir / "yolov8n.pt")
    boxes.warm_up(clip)
    with pytest.raises(WorkDiffers, match=re.escape("ultralytics read 2 frames, not 3")):
        boxes.run(clip)


def test_torch_is_not_loaded_before_passive_waiting_is_set() -> None:
    program = (
        "import sys, bench.compare.command, bench.limits.command; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
