"""What a task finds in a video: the items of a response, and the message that carries them."""

from __future__ import annotations

import msgspec


class BBox(msgspec.Struct, frozen=True, gc=False):
    """A box in absolute pixels of the upright frame, origin top left."""

    x: float
    y: float
    width: float
    height: float


class Detection(msgspec.Struct, frozen=True, gc=False):
    """One object or face in one frame."""

    frame_index: int
    timestamp_ms: int
    label: str
    confidence: float
    bbox: BBox


class Point(msgspec.Struct, frozen=True, gc=False):
    """A corner of a polygon, in absolute pixels."""

    x: float
    y: float


class TextDetection(msgspec.Struct, frozen=True, gc=False):
    """One piece of text in one frame; `polygon` has four corners, clockwise from the top left."""

    frame_index: int
    timestamp_ms: int
    text: str
    confidence: float
    polygon: list[Point]


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One scene category and its softmax probability."""

    label: str
    confidence: float


class Classification(msgspec.Struct, frozen=True, gc=False):
    """The likeliest places of one frame; `indoor` is the weighted vote of the predictions."""

    frame_index: int
    timestamp_ms: int
    predictions: list[Prediction]
    indoor: bool


class Word(msgspec.Struct, frozen=True, gc=False):
    """One spoken word."""

    start_ms: int
    end_ms: int
    text: str
    confidence: float


class Segment(msgspec.Struct, frozen=True, gc=False):
    """One stretch of speech; `words` is null unless word timestamps were asked for."""

    start_ms: int
    end_ms: int
    text: str
    confidence: float
    words: list[Word] | None = None


class Scene(msgspec.Struct, frozen=True, gc=False):
    """One scene, from its first frame's time to the next scene's."""

    scene_index: int
    start_ms: int
    end_ms: int


class Detections(msgspec.Struct, frozen=True, tag=True):
    """Objects or faces, ordered by frame, then by falling confidence."""

    items: list[Detection]


class TextDetections(msgspec.Struct, frozen=True, tag=True):
    """Text, ordered by frame, then by falling confidence."""

    items: list[TextDetection]


class Classifications(msgspec.Struct, frozen=True, tag=True):
    """Places, one item a frame."""

    items: list[Classification]


class Transcript(msgspec.Struct, frozen=True, tag=True):
    """Speech, ordered by time, and its language (an ISO 639-1 code; null where nobody speaks)."""

    language: str | None
    items: list[Segment]


class Changes(msgspec.Struct, frozen=True, tag=True):
    """Times of the frames that differ from the one before by the threshold or more."""

    timestamps_ms: list[float]


class Scenes(msgspec.Struct, frozen=True, tag=True):
    """Scenes without gap or overlap, covering the analysed range."""

    items: list[Scene]


Result = Detections | TextDetections | Classifications | Transcript | Changes | Scenes
