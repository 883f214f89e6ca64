"""Faces: YOLO trained on faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ipc.results import BBox, Detection
from server.formats.exports import of_boxes
from server.tasks.response import Response
from server.tasks.task import Fraction, FrameInput, Interval, ListTask, Name, Options

CHUNK_FRAMES = 8


class FacesOptions(Options, frozen=True):
    """The same fields as in the original service."""

    model_name: Name = "yolov8n-face.pt"
    frame_interval: Interval = 30
    confidence_threshold: Fraction = 0.5


class Face(msgspec.Struct, frozen=True):
    """One face in one frame; `cluster_id` is null, because faces are not clustered yet."""

    frame_index: int
    timestamp_ms: int
    label: str
    confidence: float
    bbox: BBox
    cluster_id: str | None = None


class FacesResponse(Response, frozen=True, kw_only=True):
    """Faces, ordered by frame, then by falling confidence."""

    detections: list[Face]


class Faces(ListTask[FacesOptions]):
    """POST /infer/faces."""

    name = "faces"
    options = FacesOptions
    response = FacesResponse
    result = list[Detection]
    producer = "yolo"
    package = "ultralytics"
    worker = "gpu_workers.tasks.faces"
    exports = of_boxes(Face, "detections")

    def needs(self, options: FacesOptions) -> FrameInput:
        """Sampled frames at full size."""
        return FrameInput(options.frame_interval, CHUNK_FRAMES)

    def weights(self, options: FacesOptions) -> tuple[str, ...]:
        """The checkpoint."""
        return (options.model_name,)

    def model_key(self, options: FacesOptions) -> str:
        """One model per checkpoint."""
        return f"{self.name}/{options.model_name}"

    def add(self, state: list[Any], result: list[Detection]) -> Sequence[Face]:
        """Append the detections as faces."""
        return super().add(state, [Face(**msgspec.structs.asdict(found)) for found in result])
