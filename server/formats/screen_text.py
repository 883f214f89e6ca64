"""Text that stays on the screen: the detections of one text in successive frames are merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from ipc.messages import VideoInfo
from ipc.results import TextDetection
from server.formats.subtitles import Cue, scheduled, shared_out

SAME_PLACE_IOU = 0.5
SAME_TEXT_RATIO = 0.8
SAMPLES = 2  # a text that is not found in one frame between two others is still the same one


@dataclass
class ScreenText:
    """A text, as its most confident detection has it, and when it is on the screen."""

    best: TextDetection
    start_ms: int
    end_ms: float
    last: TextDetection


def on_screen(
    detections: Sequence[TextDetection], interval: int, video: VideoInfo
) -> list[ScreenText]:
    """The texts in the order in which they appear; every `interval`th frame was read."""
    frames = [list(found) for _, found in groupby(detections, key=lambda one: one.frame_index)]
    sample_ms = 1000 * interval / video.fps if video.fps else 0.0
    texts: list[ScreenText] = []
    visible: list[ScreenText] = []
    for found in frames:
        index, shown_ms = found[0].frame_index, found[0].timestamp_ms
        visible = [t for t in visible if index - t.last.frame_index <= SAMPLES * interval]
        before = list(visible)
        for detection in _in_reading_order(found):
            text = next((t for t in before if _same(t, detection)), None)
            if text is None:
                text = ScreenText(detection, shown_ms, 0.0, detection)
                texts.append(text)
                visible.append(text)
            else:
                before.remove(text)
            text.best = max(text.best, detection, key=lambda one: one.confidence)
            text.last, text.end_ms = detection, shown_ms + sample_ms
    return texts


def cues(detections: Sequence[TextDetection], interval: int, video: VideoInfo) -> list[Cue]:
    """What is new on the screen, as subtitles; a text of several lines may need several cues."""
    wanted = []
    texts = on_screen(detections, interval, video)
    for start_ms, group in groupby(texts, key=lambda text: text.start_ms):
        new = list(group)
        distinct = dict.fromkeys(text.best.text for text in new)
        wanted += shared_out(" ".join(distinct), start_ms, max(text.end_ms for text in new))
    return scheduled(wanted)


def _in_reading_order(found: Iterable[TextDetection]) -> Iterator[TextDetection]:
    """By rows from the top; within a row from the left."""
    row: list[TextDetection] = []
    for detection in sorted(found, key=lambda one: _middle(_box(one))):
        if row and _middle(_box(detection)) > _box(row[0])[3]:
            yield from sorted(row, key=_box)
            row = []
        row.append(detection)
    yield from sorted(row, key=_box)


def _same(known: ScreenText, found: TextDetection) -> bool:
    """Equal texts, which may move; or similar ones at the same place, as OCR misreads letters.

    Other digits are another text: a clock, a score, a page number.
    """
    if found.text in (known.best.text, known.last.text):
        return True
    if _iou(_box(known.last), _box(found)) < SAME_PLACE_IOU:
        return False
    if _digits(known.best.text) != _digits(found.text):
        return False
    return SequenceMatcher(None, known.best.text, found.text).ratio() >= SAME_TEXT_RATIO


def _digits(text: str) -> list[str]:
    return [char for char in text if char.isdigit()]


Box = tuple[float, float, float, float]


def _box(detection: TextDetection) -> Box:
    """The left, top, right and bottom edge of the polygon."""
    xs = [point.x for point in detection.polygon]
    ys = [point.y for point in detection.polygon]
    return min(xs), min(ys), max(xs), max(ys)


def _middle(box: Box) -> float:
    return (box[1] + box[3]) / 2


def _iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    union = _area(one) + _area(other) - shared
    return shared / union if union else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
