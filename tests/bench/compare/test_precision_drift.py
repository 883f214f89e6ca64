"""The drift between two results, on hand-made boxes and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.compare import footage_drift
from bench.compare.precision_drift import (
    boxes_share,
    drift_rows,
    drift_table,
    edit_distance,
    iou,
    match,
    text_distance,
    top1_share,
)


def box(x: float, y: float, width: float, height: float, frame: int = 0, label: str = "car") -> Any:
    bbox = {"x": x, "y": y, "width": width, "height": height}
    return {"frame_index": frame, "label": label, "bbox": bbox}


def text(words: str, x: float, frame: int = 0) -> Any:
    corners = [(x, 0), (x + 40, 0), (x + 40, 10), (x, 10)]
    return {
        "frame_index": frame,
        "text": words,
        "polygon": [{"x": left, "y": top} for left, top in corners],
    }


def place(label: str) -> Any:
    return {"predictions": [{"label": label}, {"label": "other"}]}


def test_iou_of_each_with_each() -> None:
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10)]
    others = [(0, 0, 10, 10), (5, 0, 15, 10), (40, 40, 50, 50)]
    assert iou(boxes, others) == pytest.approx(np.array([[1, 1 / 3, 0], [0, 0, 0]]))
    assert iou(boxes, []).shape == (2, 0)
    assert iou([(3, 3, 3, 3)], [(3, 3, 3, 3)]).item() == 0


def test_a_box_is_matched_once_and_with_the_best_match() -> None:
    twice = [(0, 0, 10, 10), (0, 0, 10, 9)]
    assert match(twice, [(0, 0, 10, 9)], 0.5) == [(1, 0)]
    assert sorted(match(twice, list(reversed(twice)), 0.5)) == [(0, 1), (1, 0)]
    same = [(0, 0, 10, 10)] * 3
    assert sorted(match(same, same, 0.5)) == [(0, 0), (1, 1), (2, 2)]
    assert match(twice, [], 0.5) == []
    assert match([], twice, 0.5) == []


def test_boxes_match_in_the_same_frame_with_the_same_label() -> None:
    expected = [box(0, 0, 100, 100), box(0, 0, 100, 100, frame=30), box(0, 0, 50, 50, label="cat")]
    assert boxes_share(expected, expected) == 1
    assert boxes_share(expected, [box(2, 0, 100, 100)]) == pytest.approx(1 / 3)
    assert boxes_share(expected, [box(8, 0, 100, 100)]) == 0
    assert boxes_share(expected, [box(0, 0, 100, 100, label="cat")]) == 0
    assert boxes_share([], expected) == 1


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)],
)
def test_edit_distance(first: str, second: str, edits: int) -> None:
    assert edit_distance(first, second) == edit_distance(second, first) == edits


def test_texts_are_compared_in_their_places() -> None:
    expected = [text("hello", 0), text("world", 100), text("again", 0, frame=60)]
    assert text_distance(expected, list(reversed(expected))) == 0
    assert text_distance(expected, [text("hallo", 1), *expected[1:]]) == pytest.approx(1 / 15)
    assert text_distance(expected, expected[:2]) == pytest.approx(5 / 15)
    assert text_distance(expected, [*expected, text("new", 300)]) == pytest.approx(3 / 15)
    assert text_distance([], []) == 0


def test_top1_counts_the_frames_that_agree() -> None:
    kitchen, bar = place("kitchen"), place("bar")
    assert top1_share([kitchen, bar], [kitchen, kitchen]) == 0.5
    with pytest.raises(ValueError, match="shorter"):
        top1_share([kitchen, bar], [kitchen])


def answer(items: list[Any], seconds: float, stand_in: bool = False) -> Any:
    timings_ms = {"inference": 1000 * seconds}
    return {"detections": items, "timings_ms": timings_ms, "provenance": {"stand_in": stand_in}}


def test_the_table_has_a_row_for_each_task_answered_twice() -> None:
    full = {"objects": answer([box(0, 0, 9, 9)], 2), "ocr": answer([], 0.001)}
    table = drift_table("footage", "bf16", full, {"objects": answer([], 1)})
    words = "boxes matched at IoU 0.9"
    assert table.rows == [("objects", "trained", "1", "0", words, "0.0%", "2.00", "1.00")]
    assert len(table.columns) == len(table.rows[0])


def test_rows_name_stand_ins() -> None:
    full = {"faces": answer([], 1, stand_in=True)}
    assert drift_rows(full, full)[0][:2] == ("faces", "stand-in")


def test_footage_has_rows_for_each_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answers(precision: str, clips: list[Path], *_: object) -> list[Any]:
        asked.append(precision)
        return [{"objects": answer([box(0, 0, 9, 9)], 1)} for _ in clips]

    monkeypatch.setattr(footage_drift, "answers", answers)
    clips = [tmp_path / "one.mp4", tmp_path / "two.mp4"]
    table = footage_drift.measure(clips, "bf16", tmp_path)
    assert asked == ["fp32", "bf16"]
    assert [row[:2] for row in table.rows] == [("one.mp4", "objects"), ("two.mp4", "objects")]
    assert len(table.columns) == len(table.rows[0])
