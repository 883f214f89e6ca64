"""Faces: YOLO trained on faces."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from ipc.results import BBox, Detection
from server.formats.exports import of_boxes
from server.tasks.detections import Detections, Track, TrackOptions
from server.tasks.response import Response
from server.tasks.task import Fraction, FrameInput, Interval, Name

CHUNK_FRAMES = 8


class FacesOptions(TrackOptions, frozen=True):
    """The same fields as in the original service, and `track`."""

    model_name: Name = "yolov8n-face.pt"
    frame_interval: Interval = 30
    confidence_threshold: Fraction = 0.5


class Face(msgspec.Struct, frozen=True):
    """One face in one frame; `cluster_id` is null, because faces are not clustered yet.

    A request with `track` adds `track_id` (null: no track).
    """

    frame_index: int
    timestamp_ms: int
    label: str
    confidence: float
    bbox: BBox
    cluster_id: str | None = None
    track_id: int | UnsetType | None = UNSET


class FacesResponse(Response, frozen=True, kw_only=True):
    """Faces, ordered by frame, then by falling confidence; with `track`, also their tracks."""

    detections: list[Face]
    tracks: list[Track] | UnsetType = UNSET


class Faces(Detections[FacesOptions]):
    """POST /infer/faces."""

    name = "faces"
    options = FacesOptions
    response = FacesResponse
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

    def item(self, found: Detection) -> Face:
        """A detection as a face."""
        return Face(**msgspec.structs.asdict(found))
