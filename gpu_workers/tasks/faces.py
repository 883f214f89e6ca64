"""Faces: YOLO trained on faces, with or without facial landmarks."""

from __future__ import annotations

import msgspec
import torch

from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from gpu_workers.yolo import LIBRARIES, Boxes, Yolo, detections
from ipc.arena import ArenaView
from ipc.messages import ModelInfo
from ipc.results import Detection
from ipc.subjects import Frames

INPUT_SIZE = 640  # the longer side of the network's input, in pixels


class Spec(msgspec.Struct, frozen=True):
    """The checkpoint, and the minimum confidence of a box."""

    model_name: str
    confidence_threshold: float


def load(spec: Spec, runtime: Runtime) -> Faces:
    """Load the checkpoint `spec.model_name`; raises ModelUnavailable."""
    weights = runtime.weights.resolve(spec.model_name, "faces")
    info = model_info(spec.model_name, weights, runtime, *LIBRARIES)
    return Faces(Yolo(weights.path, runtime), info)


class Faces:
    """Finds faces in frames. The label is always "face", whatever label the checkpoint has."""

    def __init__(self, yolo: Yolo, info: ModelInfo) -> None:
        self._yolo = yolo
        self.info = info

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> torch.Tensor:
        """Letterbox the frames."""
        return self._yolo.letterbox([arena.frame(ref) for ref in subject.refs], INPUT_SIZE)

    def infer(self, spec: Spec, inputs: torch.Tensor) -> Boxes:
        """Run the network and its NMS."""
        return self._yolo.detect(inputs, spec.confidence_threshold)

    def postprocess(self, spec: Spec, subject: Frames, outputs: Boxes) -> list[Detection]:
        """Scale the boxes back to the frames."""
        return detections(subject.refs, outputs, lambda _class_id: "face")
