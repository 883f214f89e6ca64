"""Scores of boxes, texts, cuts and labels against the truth of the clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.clips.narrated import Narrated, Written
from bench.clips.shapes import Box
from bench.demo.requests import BOXES_EVERY, TEXT_EVERY, Json
from bench.demo.words import Comparison, compare_speech, compare_text, total

LEAST_IOU = 0.5
LEAST_INSIDE = 0.5  # share of a text's box that lies in the line's
MARGIN = 0.3  # of a line's height around it: OCR's boxes are larger than the letters
NEAR_FRAMES = 3


@dataclass(frozen=True)
class Match:
    """A true box, and the box that was found for it, or None."""

    frame: int
    true: Box
    found: Box | None

    @property
    def iou(self) -> float:
        """Intersection over union; 0 if nothing was found."""
        return self.true.iou(self.found) if self.found else 0.0


@dataclass(frozen=True)
class ShapeScore:
    """All drawn shapes in the sampled frames, and the number of boxes where there is none."""

    matches: tuple[Match, ...]
    false: int

    @property
    def found(self) -> tuple[Match, ...]:
        """The shapes that were found."""
        return tuple(match for match in self.matches if match.found)

    @property
    def mean_iou(self) -> float:
        """Of the shapes that were found."""
        return sum(match.iou for match in self.found) / max(1, len(self.found))

    def of(self, label: str) -> ShapeScore:
        """The shapes with one label."""
        return ShapeScore(tuple(m for m in self.matches if m.true.label == label), 0)


@dataclass(frozen=True)
class Reading:
    """A line of text beside what was read: the worst of its frames, and all of them together."""

    line: Written
    worst: Comparison
    read: str
    all: Comparison


@dataclass(frozen=True)
class TextScore:
    """Every line that was drawn, and other texts that were read: signs in photographs."""

    readings: tuple[Reading, ...]
    others: tuple[str, ...]

    @property
    def total(self) -> Comparison:
        """Errors and characters of all lines in all sampled frames."""
        return total([reading.all for reading in self.readings])


@dataclass(frozen=True)
class CutScore:
    """Every cut's frame beside the frame that was found, or None; and cuts that are none."""

    pairs: tuple[tuple[int, int | None], ...]
    false: tuple[int, ...]

    @property
    def found(self) -> int:
        """How many of the cuts were found."""
        return sum(found is not None for _, found in self.pairs)


@dataclass(frozen=True)
class Sight:
    """A label in a span of frames: whether it should be there, and what was found of it."""

    label: str
    expected: bool
    most: int  # in one frame
    best: float  # confidence

    @property
    def found(self) -> bool:
        """Whether it was found in any frame."""
        return self.most > 0


def box_of(detection: Json) -> Box:
    """The box of a detection of objects or faces."""
    sides = (float(detection["bbox"][side]) for side in ("x", "y", "width", "height"))
    return Box(detection["label"], *sides)


def score_shapes(truth: Narrated, detections: Sequence[Json]) -> ShapeScore:
    """Match boxes of the same label, the best IoU first, in every sampled frame."""
    matches: list[Match] = []
    false = 0
    for frame in range(0, truth.frame_count, BOXES_EVERY):
        left = [box_of(item) for item in detections if item["frame_index"] == frame]
        drawn = truth.shapes[frame]
        pairs = [(t.iou(f), i, f) for i, t in enumerate(drawn) for f in left if f.label == t.label]
        best: dict[int, Box] = {}
        for iou, place, found in sorted(pairs, key=lambda pair: -pair[0]):
            if iou >= LEAST_IOU and place not in best and found in left:
                best[place] = found
                left.remove(found)
        matches += [Match(frame, true, best.get(place)) for place, true in enumerate(drawn)]
        false += len(left)
    return ShapeScore(tuple(matches), false)


def score_speech(truth: Narrated, segments: Sequence[Json]) -> list[Comparison]:
    """One comparison for each sentence."""
    heard = " ".join(segment["text"].strip() for segment in segments)
    return compare_speech([sentence.text for sentence in truth.sentences], heard)


def score_texts(truth: Narrated, detections: Sequence[Json], every: int = TEXT_EVERY) -> TextScore:
    """Compare every line with what was read in its place, in every sampled frame."""
    lines = {
        line: [frame for frame in range(0, truth.frame_count, every) if frame in line.frames]
        for line in truth.texts
    }
    readings = []
    claimed: set[int] = set()
    for line, frames in lines.items():
        compared = []
        for frame in frames:
            parts = [d for d in detections if d["frame_index"] == frame and _lies_in(d, line.box)]
            claimed |= {id(part) for part in parts}
            read = " ".join(part["text"] for part in sorted(parts, key=_left))
            compared.append((compare_text(line.text, read), read))
        if compared:
            worst, read = max(compared, key=lambda pair: pair[0].errors)
            together = total([comparison for comparison, _ in compared])
            readings.append(Reading(line, worst, read, together))
    others = sorted({d["text"] for d in detections if id(d) not in claimed and d["text"]})
    return TextScore(tuple(readings), tuple(others))


def score_cuts(truth: Narrated, scenes: Sequence[Json]) -> CutScore:
    """The nearest found cut for each cut, if it is at most `NEAR_FRAMES` away."""
    left = [round(scene["start_ms"] * truth.fps / 1000) for scene in scenes[1:]]
    pairs: list[tuple[int, int | None]] = []
    for cut in truth.cuts:
        nearest = min(left, key=lambda frame: abs(frame - cut), default=None)
        if nearest is not None and abs(nearest - cut) <= NEAR_FRAMES:
            left.remove(nearest)
            pairs.append((cut, nearest))
        else:
            pairs.append((cut, None))
    return CutScore(tuple(pairs), tuple(left))


def sights(expected: Sequence[str], found: Sequence[Json]) -> tuple[Sight, ...]:
    """What these detections found, by label; the expected labels come first."""
    labels = [*expected, *sorted({d["label"] for d in found} - set(expected))]
    return tuple(_sight(label, label in expected, found) for label in labels)


def _sight(label: str, expected: bool, detections: Sequence[Json]) -> Sight:
    own = [d for d in detections if d["label"] == label]
    most = max(Counter(d["frame_index"] for d in own).values(), default=0)
    best = max((d["confidence"] for d in own), default=0.0)
    return Sight(label, expected, most, best)


def corners(detection: Json) -> list[tuple[float, float]]:
    """The polygon of a text."""
    return [(point["x"], point["y"]) for point in detection["polygon"]]


def _left(detection: Json) -> float:
    return min(x for x, _ in corners(detection))


def _lies_in(detection: Json, line: Box) -> bool:
    """Whether most of the text's upright box is within the line's."""
    across, down = zip(*corners(detection), strict=True)
    margin = MARGIN * line.height
    left, right = max(min(across), line.x - margin), min(max(across), line.x + line.width + margin)
    top, bottom = max(min(down), line.y - margin), min(max(down), line.y + line.height + margin)
    area = (max(across) - min(across)) * (max(down) - min(down))
    inside = max(0.0, right - left) * max(0.0, bottom - top)
    return bool(area > 0 and inside >= LEAST_INSIDE * area)
