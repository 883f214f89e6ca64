"""Objects: YOLO, with the labels of its checkpoint."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from ipc.results import Detection
from server.formats.exports import of_boxes
from server.tasks.detections import Detections, State, Track, TrackOptions
from server.tasks.response import Response
from server.tasks.task import Fraction, FrameInput, Interval, Name

CHUNK_FRAMES = 8


class ObjectsOptions(TrackOptions, frozen=True):
    """`model_profile` sets the input size of the network; `classes` null keeps every label."""

    extensions: ClassVar[frozenset[str]] = TrackOptions.extensions | {"classes"}

    model_name: Name = "yolov8n.pt"
    frame_interval: Interval = 30
    confidence_threshold: Fraction = 0.5
    model_profile: Literal["fast", "balanced", "high_quality"] = "balanced"
    classes: Annotated[list[Name], Meta(min_length=1, max_length=1000)] | None = None


class ObjectsResponse(Response, frozen=True, kw_only=True):
    """Objects, ordered by frame, then by falling confidence; with `track`, also their tracks."""

    model_profile: str
    detections: list[Detection]
    tracks: list[Track] | UnsetType = UNSET


class Objects(Detections[ObjectsOptions]):
    """POST /infer/objects."""

    name = "objects"
    options = ObjectsOptions
    response = ObjectsResponse
    producer = "yolo"
    package = "ultralytics"
    worker = "gpu_workers.tasks.objects"
    exports = of_boxes(Detection, "detections")

    def needs(self, options: ObjectsOptions) -> FrameInput:
        """Sampled frames at full size."""
        return FrameInput(options.frame_interval, CHUNK_FRAMES)

    def weights(self, options: ObjectsOptions) -> tuple[str, ...]:
        """The checkpoint."""
        return (options.model_name,)

    def model_key(self, options: ObjectsOptions) -> str:
        """One model per checkpoint."""
        return f"{self.name}/{options.model_name}"

    def fields(self, options: ObjectsOptions, state: State) -> dict[str, Any]:
        """The profile, the detections and their tracks."""
        return {"model_profile": options.model_profile, **super().fields(options, state)}
