"""Faces: YOLO trained on faces, with or without facial landmarks."""

from __future__ import annotations

import msgspec

from gpu_workers.detector import Detector
from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from gpu_workers.yolo import LIBRARIES, Yolo

INPUT_SIZE = 640  # the longer side of the network's input, in pixels


class Spec(msgspec.Struct, frozen=True):
    """The checkpoint, the minimum confidence of a box, and whether faces are tracked."""

    model_name: str
    confidence_threshold: float
    track: bool = False


def load(spec: Spec, runtime: Runtime) -> Faces:
    """Load the checkpoint `spec.model_name`; raises ModelUnavailable."""
    weights = runtime.weights.resolve(spec.model_name, "faces")
    info = model_info(spec.model_name, weights, runtime, *LIBRARIES)
    return Faces(Yolo(weights.path, runtime), info)


class Faces(Detector[Spec]):
    """Finds faces in frames. The label is always "face", whatever label the checkpoint has."""

    def input_size(self, spec: Spec) -> int:
        """The same for all requests."""
        return INPUT_SIZE

    def label(self, class_id: int) -> str:
        """There is only one."""
        return "face"
