"""All that the demo found, scored: what the terminal and the page show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.clips.narrated import Narrated, Shown
from bench.demo import scoring
from bench.demo.requests import SHAPES, Json, Reply
from bench.demo.scoring import CutScore, ShapeScore, Sight, TextScore
from bench.demo.words import Comparison, total

State = Literal["scored", "stand-in", "failed"]
TITLES = {
    "transcribe": "Speech",
    "ocr": "Text",
    SHAPES: "Shapes",
    "scenes": "Cuts",
    "objects": "Objects",
    "faces": "Faces",
    "places": "Places",
}


@dataclass(frozen=True)
class Portrait:
    """A photograph, and what was found of its labels and faces; None: nothing can be said."""

    shown: Shown
    objects: tuple[Sight, ...] | None
    faces: Sight | None


@dataclass(frozen=True)
class Findings:
    """The truth, the replies, and the scores; a score is None without trained weights."""

    truth: Narrated
    replies: Mapping[str, Reply]
    seconds: float
    speech: tuple[Comparison, ...] | None
    texts: TextScore | None
    shapes: ShapeScore | None
    cuts: CutScore | None
    portraits: tuple[Portrait, ...]
    elsewhere: tuple[Sight, ...]  # objects outside the photographs

    def items(self, name: str, field: str) -> list[Json]:
        """The items of a trained response, or nothing."""
        response = self.replies[name].trained
        return response[field] if response else []


@dataclass(frozen=True)
class Measure:
    """One figure about one task, and what it means."""

    name: str
    state: State
    value: str
    note: str

    @property
    def title(self) -> str:
        """What the task is about."""
        return TITLES[self.name]


def score(truth: Narrated, replies: Mapping[str, Reply], seconds: float) -> Findings:
    """Compare the replies with the truth; `seconds` is how long they took."""
    responses = {name: reply.trained for name, reply in replies.items()}

    def scored(name: str, field: str, by: Any) -> Any:
        response = responses[name]
        return None if response is None else by(truth, response[field])

    speech = scored("transcribe", "segments", scoring.score_speech)
    return Findings(
        truth,
        replies,
        seconds,
        None if speech is None else tuple(speech),
        scored("ocr", "detections", scoring.score_texts),
        scored(SHAPES, "detections", scoring.score_shapes),
        scored("scenes", "scenes", scoring.score_cuts),
        tuple(_portrait(shown, responses) for shown in truth.photographs),
        _elsewhere(truth, responses["objects"]),
    )


def _portrait(shown: Shown, responses: Mapping[str, Json | None]) -> Portrait:
    def found(name: str) -> list[Json] | None:
        response = responses[name]
        if response is None:
            return None
        return [d for d in response["detections"] if d["frame_index"] in shown.frames]

    objects, faces = found("objects"), found("faces")
    photograph = shown.photograph
    expected = ["face"] if photograph.faces else []
    return Portrait(
        shown,
        None if objects is None else scoring.sights(photograph.labels, objects),
        None if faces is None else next(iter(scoring.sights(expected, faces)), None),
    )


def _elsewhere(truth: Narrated, response: Json | None) -> tuple[Sight, ...]:
    if response is None:
        return ()
    photographs = [shown.frames for shown in truth.photographs]
    outside = [
        d
        for d in response["detections"]
        if not any(d["frame_index"] in span for span in photographs)
    ]
    return scoring.sights((), outside)


def measures(findings: Findings) -> list[Measure]:
    """The figure of each task, in the order of TITLES."""
    return [_measure(findings, findings.replies[name]) for name in TITLES]


def _measure(findings: Findings, reply: Reply) -> Measure:
    if reply.response is None:
        return Measure(reply.name, "failed", "failed", reply.problem)
    if reply.stand_in:
        return Measure(
            reply.name, "stand-in", "stand-in", "untrained weights: no meaningful result"
        )
    value, note = _figures(findings, reply.name)
    return Measure(reply.name, "scored", value, note)


def _figures(findings: Findings, name: str) -> tuple[str, str]:
    match name:
        case "transcribe":
            words = total(findings.speech or ())
            return f"WER {words.rate:.1%}", f"{words.errors} of {words.length} words differ"
        case "ocr" if findings.texts:
            text = findings.texts.total
            return f"CER {text.rate:.1%}", f"{text.errors} of {text.length} characters differ"
        case "shapes" if findings.shapes:
            shapes = findings.shapes
            found = f"{len(shapes.found)} of {len(shapes.matches)} found, {shapes.false} false"
            return f"IoU {shapes.mean_iou:.2f}", found
        case "scenes" if findings.cuts:
            return _cut_figures(findings.cuts)
        case "objects":
            sights = [s for p in findings.portraits for s in p.objects or () if s.expected]
            found = f"{sum(s.found for s in sights)} of {len(sights)}"
            return found, "labels expected in the photographs"
        case "faces":
            return _face_figures(findings.portraits)
        case _:
            count = len(findings.items("places", "classifications"))
            return f"{count} frames", "classified; the truth of a photograph's place is not known"


def _cut_figures(cuts: CutScore) -> tuple[str, str]:
    off = max((abs(found - made) for made, found in cuts.pairs if found is not None), default=0)
    where = f"at most {off} frames off" if off else "each in the exact frame"
    return f"{cuts.found} of {len(cuts.pairs)}", f"found, {where}; {len(cuts.false)} false"


def _face_figures(portraits: tuple[Portrait, ...]) -> tuple[str, str]:
    """A photograph with two faces counts two if two were found in one of its frames."""
    there = sum(p.shown.photograph.faces for p in portraits)
    found = sum(min(p.faces.most, p.shown.photograph.faces) for p in portraits if p.faces)
    more = sum(p.faces.most > p.shown.photograph.faces for p in portraits if p.faces)
    note = f"found; too many in {more} photographs" if more else "found, and no others"
    return f"{found} of {there}", note
