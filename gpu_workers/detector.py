"""What objects and faces have in common: boxes in frames, and the tracks of boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec
import torch

from gpu_workers.tracking import lowest_score, track
from gpu_workers.yolo import Boxes, Yolo, detections, samples
from ipc.arena import ArenaView
from ipc.messages import ModelInfo
from ipc.results import Detection
from ipc.subjects import Frames, Gathered
from ipc.tracks import Samples, Tracked, Untracked


class DetectorSpec(Protocol):
    """The minimum confidence of a box, and whether boxes of other frames are to be tracked."""

    @property
    def confidence_threshold(self) -> float:
        """From 0 to 1."""

    @property
    def track(self) -> bool:
        """Whether `Samples` are wanted in place of detections."""


SpecT = TypeVar("SpecT", bound=DetectorSpec)


class Detector(ABC, Generic[SpecT]):
    """Finds boxes in `Frames`; finds the tracks of the boxes in an `Untracked`."""

    def __init__(self, yolo: Yolo, info: ModelInfo) -> None:
        self.yolo = yolo
        self.info = info

    @abstractmethod
    def input_size(self, spec: SpecT) -> int:
        """The longer side of the network's input, in pixels."""

    @abstractmethod
    def label(self, class_id: int) -> str:
        """The label of a class of the checkpoint."""

    def classes(self, spec: SpecT) -> Sequence[str] | None:
        """The labels to keep; None keeps all."""
        return None

    def preprocess(
        self, spec: SpecT, subject: Frames | Gathered, arena: ArenaView
    ) -> torch.Tensor | Untracked:
        """Letterbox frames; decode boxes."""
        if isinstance(subject, Gathered):
            return msgspec.msgpack.decode(subject.data, type=Untracked)
        frames = [arena.frame(ref) for ref in subject.refs]
        return self.yolo.letterbox(frames, self.input_size(spec))

    def infer(self, spec: SpecT, inputs: torch.Tensor | Untracked) -> Boxes | Tracked:
        """Run the network and its NMS, or the tracker; raises InvalidSpec for unknown classes."""
        threshold = spec.confidence_threshold
        if isinstance(inputs, Untracked):
            return track(inputs, threshold)
        lowest = lowest_score(threshold) if spec.track else threshold
        return self.yolo.detect(inputs, lowest, self.classes(spec))

    def postprocess(
        self, spec: SpecT, subject: Frames | Gathered, outputs: Boxes | Tracked
    ) -> list[Detection] | Samples | Tracked:
        """Scale the boxes back to the frames; return tracks unchanged."""
        if isinstance(outputs, Tracked):
            return outputs
        assert isinstance(subject, Frames)
        if spec.track:
            threshold = spec.confidence_threshold
            return Samples(samples(subject.refs, outputs, self.label, threshold))
        return detections(subject.refs, outputs, self.label)
