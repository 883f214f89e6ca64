"""Trained weights on a clip of which everything is known: error rates, boxes, and cuts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clip_library import ClipLibrary
from running import Server, running

from bench.clips.narrated import Narrated, truth_of_narrated
from bench.demo.requests import SHAPES_FIELDS
from bench.demo.scoring import score_cuts, score_shapes, score_speech, score_texts
from bench.demo.words import total

SPEECH, TEXT = ("base.pt",), ("craft_mlt_25k.pth", "english_g2.pth")
ONE_FRAME_A_SCENE = 120


@pytest.fixture(scope="module")
def truth() -> Narrated:
    return truth_of_narrated()


@pytest.fixture(scope="module")
def server(trained_dir: Path, clips: ClipLibrary) -> Iterator[Server]:
    with running(MODEL_CACHE_DIR=str(trained_dir), MEDIA_ROOTS=clips.roots) as one:
        yield one


@pytest.fixture(scope="module")
def clip(clips: ClipLibrary) -> Path:
    return clips.path("narrated.mp4")


def answer(server: Server, task: str, clip: Path, **fields: Any) -> dict[str, Any]:
    response = server.infer(task, clip, **fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert not found["provenance"]["stand_in"]
    return found


@pytest.fixture(scope="module")
def heard(server: Server, clip: Path, truth: Narrated) -> dict[bool, float]:
    """The word error rate with and without the filter."""
    rates = {}
    for filtered in (True, False):
        found = answer(server, "transcribe", clip, vad_filter=filtered)
        assert found["language"] == "en"
        rates[filtered] = total(score_speech(truth, found["segments"])).rate
    return rates


@pytest.mark.trained(*SPEECH)
def test_speech_has_less_than_one_wrong_word_in_ten(heard: dict[bool, float]) -> None:
    assert heard[True] < 0.1
    assert heard[False] < 0.1


@pytest.mark.trained(*SPEECH)
def test_the_filter_costs_at_most_two_points(heard: dict[bool, float]) -> None:
    assert heard[True] <= heard[False] + 0.02


@pytest.mark.parametrize(
    "model", ["rapidocr", pytest.param("easyocr", marks=pytest.mark.trained(*TEXT))]
)
def test_text_has_less_than_three_wrong_characters_in_a_hundred(
    server: Server, clip: Path, truth: Narrated, model: str
) -> None:
    found = answer(server, "ocr", clip, model_name=model, frame_interval=ONE_FRAME_A_SCENE)
    score = score_texts(truth, found["detections"], ONE_FRAME_A_SCENE)
    assert len(score.readings) == len(truth.texts)
    assert score.total.length > 200
    assert score.total.rate < 0.03


def test_shapes_are_where_they_were_drawn(server: Server, clip: Path, truth: Narrated) -> None:
    score = score_shapes(truth, answer(server, "objects", clip, **SHAPES_FIELDS)["detections"])
    assert len(score.matches) >= 10
    assert len(score.found) >= 0.9 * len(score.matches)  # those with an IoU over 0.5
    assert score.mean_iou > 0.8


def test_cuts_are_found_to_the_frame(server: Server, clip: Path, truth: Narrated) -> None:
    score = score_cuts(truth, answer(server, "scenes", clip)["scenes"])
    assert len(score.pairs) == 7
    assert all(found == cut for cut, found in score.pairs)
    assert score.false == ()
