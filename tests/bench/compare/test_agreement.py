"""How far two results agree, on hand-made items."""

from __future__ import annotations

import pytest

from bench.compare.agreement import MEASURES, Agreement, agreement, scenes_share, words_share
from bench.compare.rounds import Item, Turn


def box(x: float, frame: int = 0) -> Item:
    bbox = {"x": x, "y": 0, "width": 100, "height": 100}
    return {"frame_index": frame, "label": "car", "bbox": bbox}


def place(frame: int, label: str) -> Item:
    return {"frame_index": frame, "predictions": [{"label": label}]}


def scene(start_ms: float, end_ms: float) -> Item:
    return {"start_ms": start_ms, "end_ms": end_ms}


def test_boxes_that_only_one_side_has_count() -> None:
    share = MEASURES["objects"].share
    assert share([box(0)], [box(0)]) == 1
    assert share([box(0)], [box(0), box(300)]) == share([box(0), box(300)], [box(0)]) == 0.5
    assert share([], []) == 1


def test_places_must_be_of_the_same_frames() -> None:
    share = MEASURES["places"].share
    assert share([place(0, "bar"), place(30, "bar")], [place(0, "bar"), place(30, "attic")]) == 0.5
    assert share([place(0, "bar")], [place(29, "bar")]) == 0
    assert share([place(0, "bar")], []) == 0


def test_scenes_agree_within_a_frame() -> None:
    scenes = [scene(0, 4000), scene(4000, 8000)]
    assert scenes_share(scenes, [scene(0, 4033), scene(3967, 8000)]) == 1
    assert scenes_share(scenes, [scene(0, 4000), scene(4000, 8100)]) == 0.5
    assert scenes_share(scenes, [scene(0, 8000)]) == 0


def test_words_are_compared_without_case_and_punctuation() -> None:
    heard = [{"text": "Ask not, what your"}, {"text": "country can do."}]
    assert words_share(heard, [{"text": " ask not what your Country can do"}]) == 1
    assert words_share(heard, [{"text": "ask what your country can do"}]) == pytest.approx(6 / 7)
    assert words_share([], []) == 1


def test_the_lowest_share_of_all_pairs_counts() -> None:
    same = Turn(1, {"objects": [box(0)], "transcribe": [{"text": "two words"}]})
    other = Turn(1, {"objects": [box(0), box(300)], "transcribe": [{"text": "two words"}]})
    found = agreement([(same, other), (same, same)])
    assert found == Agreement(
        {"objects": 0.5, "transcribe": 1}, {"objects": (1, 1), "transcribe": (2, 2)}
    )
    assert found.different == ["objects"]
    assert found.words == "objects 1 (50.0%), transcribe 2 (100.0%)"
    assert agreement([(same, other)]).words.startswith("objects 2 for 1 (50.0%)")
