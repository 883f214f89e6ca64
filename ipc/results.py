"""The items of responses, which workers send and clients receive."""

from __future__ import annotations

import msgspec


class BBox(msgspec.Struct, frozen=True, gc=False):
    """A box in absolute pixels of the upright frame, origin top left."""

    x: float
    y: float
    width: float
    height: float


class Detection(msgspec.Struct, frozen=True, gc=False):
    """One object or face in one frame; a request with `track` adds `track_id` (null: no track)."""

    frame_index: int
    timestamp_ms: int
    label: str
    confidence: float
    bbox: BBox
    track_id: int | msgspec.UnsetType | None = msgspec.UNSET


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
    """The most likely places of one frame; `indoor` is the vote of the first ten categories."""

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
    """One segment of speech; `words` is null unless `word_timestamps` was requested."""

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


class Changes(msgspec.Struct, frozen=True, tag=True):
    """The times of a chunk's frames, and of those that differ from the previous frame."""

    frames_ms: list[float]
    changes_ms: list[float]


class Timeline(msgspec.Struct, frozen=True):
    """The times of all frames of the analysed range, and of the changes among them."""

    frames_ms: list[float]
    changes_ms: list[float]
    start_ms: float
    end_ms: float
    fps: float


class Scenes(msgspec.Struct, frozen=True, tag=True):
    """Scenes without gap or overlap, covering the analysed range."""

    items: list[Scene]
