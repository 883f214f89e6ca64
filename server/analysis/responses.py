"""Responses: what every task's answer has, and what each adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from ipc.messages import VideoInfo
from ipc.results import (
    BBox,
    Changes,
    Classification,
    Detection,
    Result,
    Scene,
    Segment,
    TextDetection,
    Transcript,
)
from server.errors import ProblemDocument
from server.http.request_parsing import ObjectsOptions, OcrOptions, Options


class Provenance(msgspec.Struct, frozen=True):
    """What the answer was made with."""

    model_name: str
    weights_sha256: str | None
    stand_in: bool
    device: str
    precision: str
    decoder: str
    versions: dict[str, str]


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds: waiting for workers, decoding and inference summed over chunks, all in all.

    Decoding and inference overlap, so the parts may add up to more than the whole.
    """

    queue: float
    decode: float
    inference: float
    total: float


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of every answer."""

    run_id: str
    config_hash: str
    input_hash: str
    task_id: str | None
    producer: str
    producer_version: str
    video: VideoInfo
    provenance: Provenance
    timings_ms: Timings


class ObjectsResponse(Response, frozen=True, kw_only=True):
    """Objects, ordered by frame, then by falling confidence."""

    model_profile: str
    detections: list[Detection]


class Face(msgspec.Struct, frozen=True):
    """One face in one frame; `cluster_id` is null until clustering exists."""

    frame_index: int
    timestamp_ms: int
    label: str
    confidence: float
    bbox: BBox
    cluster_id: str | None = None


class FacesResponse(Response, frozen=True, kw_only=True):
    """Faces, ordered by frame, then by falling confidence."""

    detections: list[Face]


class TranscribeResponse(Response, frozen=True, kw_only=True):
    """Speech, ordered by time."""

    language: str | None
    segments: list[Segment]


class OcrResponse(Response, frozen=True, kw_only=True):
    """Text, ordered by frame, then by falling confidence."""

    language: str
    detections: list[TextDetection]


class PlacesResponse(Response, frozen=True, kw_only=True):
    """The likeliest places of every sampled frame."""

    classifications: list[Classification]


class ScenesResponse(Response, frozen=True, kw_only=True):
    """Scenes that cover the analysed range."""

    scenes: list[Scene]


class CombinedResponse(msgspec.Struct, frozen=True):
    """The answer of `POST /infer`: what each task found, or why it did not."""

    run_id: str
    input_hash: str
    video: VideoInfo
    results: dict[str, Any]
    errors: dict[str, ProblemDocument]


RESPONSES: dict[str, type[Response]] = {
    "objects": ObjectsResponse,
    "faces": FacesResponse,
    "transcribe": TranscribeResponse,
    "ocr": OcrResponse,
    "places": PlacesResponse,
    "scenes": ScenesResponse,
}

PRODUCERS = {
    "objects": ("yolo", "ultralytics"),
    "faces": ("yolo", "ultralytics"),
    "transcribe": ("whisper", "openai-whisper"),
    "ocr": ("easyocr", "easyocr"),
    "places": ("places365", "torchvision"),
    "scenes": ("scenedetect", "scenedetect"),
}


@cache
def producer(task: str) -> tuple[str, str]:
    """The task's `producer` and `producer_version`: the package that answers, as installed."""
    name, package = PRODUCERS[task]
    return name, version(package)


def payload(task: str, options: Options, results: Sequence[Result]) -> dict[str, Any]:
    """The task's own fields of a response, from the results of its chunks."""
    return _PAYLOADS[task](options, results)


def items(task: str, results: Sequence[Result]) -> list[Any]:
    """The items of some results, as the response has them."""
    found = [item for r in results if not isinstance(r, Changes) for item in r.items]
    if task != "faces":
        return found
    return [Face(**msgspec.structs.asdict(detection)) for detection in found]


def _objects(options: Options, results: Sequence[Result]) -> dict[str, Any]:
    assert isinstance(options, ObjectsOptions)
    return {"model_profile": options.model_profile, "detections": items("objects", results)}


def _faces(options: Options, results: Sequence[Result]) -> dict[str, Any]:
    return {"detections": items("faces", results)}


def _transcribe(options: Options, results: Sequence[Result]) -> dict[str, Any]:
    languages = (result.language for result in results if isinstance(result, Transcript))
    segments = items("transcribe", results)
    return {"language": next(filter(None, languages), None), "segments": segments}


def _ocr(options: Options, results: Sequence[Result]) -> dict[str, Any]:
    assert isinstance(options, OcrOptions)
    return {"language": options.effective_languages[0], "detections": items("ocr", results)}


def _places(options: Options, results: Sequence[Result]) -> dict[str, Any]:
    return {"classifications": items("places", results)}


def _scenes(options: Options, results: Sequence[Result]) -> dict[str, Any]:
    return {"scenes": items("scenes", results)}


_PAYLOADS: dict[str, Callable[[Options, Sequence[Result]], dict[str, Any]]] = {
    "objects": _objects,
    "faces": _faces,
    "transcribe": _transcribe,
    "ocr": _ocr,
    "places": _places,
    "scenes": _scenes,
}
