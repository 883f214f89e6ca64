"""Objects: YOLO, with the labels of its checkpoint (COCO's 80 for the default one)."""

from __future__ import annotations

import msgspec

from gpu_workers.detector import Detector
from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from gpu_workers.yolo import LIBRARIES, Yolo

# The longer side of the network's input, in pixels. The checkpoints are trained at 640.
INPUT_SIZES = {"fast": 480, "balanced": 640, "high_quality": 960}


class Spec(msgspec.Struct, frozen=True):
    """`model_profile` sets the size of the network's input; `classes` None keeps all labels."""

    model_name: str
    confidence_threshold: float
    model_profile: str
    classes: tuple[str, ...] | None = None
    track: bool = False


def load(spec: Spec, runtime: Runtime) -> Objects:
    """Load the checkpoint `spec.model_name`; raises ModelUnavailable."""
    weights = runtime.weights.resolve(spec.model_name, "objects")
    info = model_info(spec.model_name, weights, runtime, *LIBRARIES)
    return Objects(Yolo(weights.path, runtime), info)


class Objects(Detector[Spec]):
    """Finds labelled boxes in frames."""

    def input_size(self, spec: Spec) -> int:
        """That of the profile."""
        return INPUT_SIZES[spec.model_profile]

    def label(self, class_id: int) -> str:
        """As in the checkpoint."""
        return self.yolo.labels[class_id]

    def classes(self, spec: Spec) -> tuple[str, ...] | None:
        """The requested ones."""
        return spec.classes
