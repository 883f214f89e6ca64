"""A made-up clip for the demo's tests, and replies that find in it exactly what is there."""

from __future__ import annotations

from typing import Any

from bench.clips.narrated import Narrated, Sentence, Shown, Span, Written
from bench.clips.photographs import BUS
from bench.clips.shapes import Box
from bench.demo.findings import TITLES
from bench.demo.requests import Reply

FIRST, SECOND = Span(0, 75), Span(75, 150)
SQUARE, STAR = Box("square", 10, 10, 40, 40), Box("star", 100, 40, 50, 50)
TRUTH = Narrated(
    320,
    180,
    30,
    (FIRST, SECOND),
    (Sentence("The bus is here.", 0.2, 1.5), Sentence("Two shapes move.", 2.7, 4.0)),
    (Written(Box("Bus stop", 20, 150, 80, 20), FIRST), Written(Box("A<B", 200, 20, 60, 20), FIRST)),
    (Shown(BUS, FIRST),),
    tuple((SQUARE, STAR) if frame in SECOND else () for frame in range(150)),
)


def boxed(frame: int, box: Box, confidence: float = 0.9) -> dict[str, Any]:
    """A detection of objects, shapes or faces."""
    sides = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
    return {"frame_index": frame, "label": box.label, "confidence": confidence, "bbox": sides}


def text(frame: int, line: Box, read: str) -> dict[str, Any]:
    """A detection of OCR, where a line is."""
    left, top, right, bottom = line.x, line.y, line.x + line.width, line.y + line.height
    polygon = [(left, top), (right, top), (right, bottom), (left, bottom)]
    corners = [{"x": x, "y": y} for x, y in polygon]
    return {"frame_index": frame, "text": read, "confidence": 0.8, "polygon": corners}


def segment(said: str) -> dict[str, Any]:
    """A segment of speech."""
    return {"start_ms": 100, "end_ms": 1500, "text": f" {said}", "confidence": 0.9}


def exact() -> dict[str, Any]:
    """The items of each task that are exactly right, by its name."""
    person, bus = Box("person", 10, 20, 30, 60), Box("bus", 5, 5, 300, 100)
    faces = [Box("face", 15, 20, 9, 9), Box("face", 90, 20, 9, 9)]
    return {
        "transcribe": {"segments": [segment(sentence.text) for sentence in TRUTH.sentences]},
        "ocr": {
            "detections": [
                text(frame, line.box, line.text) for frame in (0, 60) for line in TRUTH.texts
            ]
        },
        "shapes": {
            "detections": [boxed(f, box) for f in (90, 120) for box in (SQUARE, STAR)],
        },
        "scenes": {"scenes": [{"start_ms": 0, "end_ms": 2500}, {"start_ms": 2500, "end_ms": 5000}]},
        "objects": {"detections": [boxed(30, person), boxed(30, bus), boxed(60, person, 0.7)]},
        "faces": {"detections": [boxed(60, face) for face in faces]},
        "places": {"classifications": [_place(frame) for frame in (0, 60, 120)]},
    }


def replies(stand_ins: tuple[str, ...] = (), **changed: Any) -> dict[str, Reply]:
    """The exact replies, with some of their items changed, and some of them from stand-ins."""
    items = {**exact(), **changed}
    return {
        name: Reply(name, {**_common(name, name in stand_ins), **items[name]}) for name in TITLES
    }


def _place(frame: int) -> dict[str, Any]:
    best = {"label": "street", "confidence": 0.75}
    return {
        "frame_index": frame,
        "timestamp_ms": frame * 1000 / 30,
        "predictions": [best],
        "indoor": False,
    }


def _common(name: str, stand_in: bool) -> dict[str, Any]:
    return {
        "provenance": {
            "model_name": f"{name}.pt",
            "weights_sha256": "0" * 64,
            "stand_in": stand_in,
            "device": "cpu",
            "precision": "fp32",
            "decoder": "pyav",
            "versions": {"torch": "2.0"},
        },
        "timings_ms": {"queue": 1.0, "decode": 20.0, "inference": 300.0, "total": 400.0},
    }
