"""Boxes, texts, cuts and labels against a truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demo_replies import FIRST, SQUARE, STAR, TRUTH, boxed, exact, replies, segment, text

from bench.demo.findings import Findings, measures, score
from bench.demo.requests import Reply
from bench.demo.scoring import score_cuts, score_shapes, score_texts, sights


def shown(findings: Findings) -> dict[str, tuple[str, str]]:
    return {measure.name: (measure.state, measure.value) for measure in measures(findings)}


def test_exact_replies_have_no_error() -> None:
    assert shown(score(TRUTH, replies(), 1.0)) == {
        "transcribe": ("scored", "WER 0.0%"),
        "ocr": ("scored", "CER 0.0%"),
        "shapes": ("scored", "IoU 1.00"),
        "scenes": ("scored", "1 of 1"),
        "objects": ("scored", "2 of 2"),
        "faces": ("scored", "2 of 2"),
        "places": ("scored", "3 frames"),
    }


def test_nothing_found_is_an_error_everywhere() -> None:
    nothing = {name: {field: [] for field in items} for name, items in exact().items()}
    found = shown(score(TRUTH, replies(**nothing), 1.0))
    assert found["transcribe"][1] == "WER 100.0%"
    assert found["ocr"][1] == "CER 100.0%"
    assert found["shapes"][1] == "IoU 0.00"
    assert [found[name][1][0] for name in ("scenes", "objects", "faces")] == ["0"] * 3


def test_stand_ins_and_failures_are_not_scored() -> None:
    given = replies(("ocr", "objects", "faces", "transcribe"))
    given["scenes"] = Reply("scenes", None, "internal_error: a fault")
    findings = score(TRUTH, given, 1.0)
    assert (findings.texts, findings.speech, findings.cuts) == (None, None, None)
    assert {(p.objects, p.faces) for p in findings.portraits} == {(None, None)}
    states = {name: state for name, (state, _) in shown(findings).items()}
    assert {states[name] for name in ("ocr", "objects", "faces")} == {"stand-in"}
    assert states["scenes"] == "failed"


def test_the_best_box_of_the_right_label_matches() -> None:
    shifted, far = replace(SQUARE, x=14), replace(SQUARE, x=200)
    found = [
        boxed(90, shifted),
        boxed(90, SQUARE),
        boxed(90, far),
        boxed(90, replace(STAR, label="circle")),
        boxed(91, STAR),  # no frame that was asked for
    ]
    result = score_shapes(TRUTH, found)
    assert [match.found for match in result.matches] == [SQUARE, None, None, None]
    assert result.false == 3
    assert result.mean_iou == 1
    assert len(result.of("star").matches) == 2


def test_a_box_matches_once() -> None:
    twice = replace(TRUTH, shapes=tuple((SQUARE, SQUARE) for _ in TRUTH.shapes))
    result = score_shapes(twice, [boxed(0, SQUARE)])
    assert len(result.found) == 1
    assert result.false == 0


def test_the_parts_of_a_line_are_joined_from_left_to_right() -> None:
    line = TRUTH.texts[0].box
    left, right = replace(line, width=38), replace(line, x=62, width=38)
    parts = [text(0, right, "stop"), text(0, left, "Bus")]
    result = score_texts(TRUTH, [*parts, text(60, line, "Bus st0p")])
    bus, missed = result.readings
    assert (bus.read, bus.worst.errors, bus.all.length) == ("Bus st0p", 1, 16)
    assert (missed.read, missed.all.rate) == ("", 1)


def test_a_text_elsewhere_is_no_reading_of_a_line() -> None:
    away = replace(TRUTH.texts[0].box, y=80)
    result = score_texts(TRUTH, [text(0, away, "Bus stop"), text(0, away, "")])
    assert result.readings[0].all.rate == 1
    assert result.others == ("Bus stop",)


@pytest.mark.parametrize(
    ("starts_ms", "pairs", "false"),
    [
        ([0, 2500], ((75, 75),), ()),
        ([0, 2533], ((75, 76),), ()),
        ([0, 1000, 2500], ((75, 75),), (30,)),
        ([0, 3000], ((75, None),), (90,)),
        ([0], ((75, None),), ()),
    ],
)
def test_cuts(
    starts_ms: list[int], pairs: tuple[tuple[int, int | None]], false: tuple[int, ...]
) -> None:
    result = score_cuts(TRUTH, [{"start_ms": start_ms} for start_ms in starts_ms])
    assert (result.pairs, result.false) == (pairs, false)


def test_sights_count_the_boxes_of_one_frame() -> None:
    person = replace(SQUARE, label="person")
    found = [boxed(0, person, 0.6), boxed(0, person, 0.8), boxed(30, person), boxed(30, STAR)]
    bus, people, star = sights(("bus", "person"), found)
    assert (bus.label, bus.expected, bus.found) == ("bus", True, False)
    assert (people.most, people.best) == (2, 0.9)
    assert (star.label, star.expected) == ("star", False)


def test_objects_count_in_the_frames_of_their_photograph_only() -> None:
    bus = replace(SQUARE, label="bus")
    findings = score(TRUTH, replies(objects={"detections": [boxed(FIRST.end, bus)]}), 1.0)
    assert shown(findings)["objects"][1] == "0 of 2"
    assert [sight.label for sight in findings.elsewhere] == ["bus"]


def test_one_wrong_word_is_counted() -> None:
    heard = {"segments": [segment("The bus is near."), segment("Two shapes move.")]}
    assert shown(score(TRUTH, replies(transcribe=heard), 1.0))["transcribe"][1] == "WER 14.3%"
