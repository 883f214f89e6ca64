"""Objects: YOLO, with the labels of its checkpoint (COCO's 80 for the default one)."""

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

# The longer side of the network's input, in pixels. The checkpoints are trained at 640.
INPUT_SIZES = {"fast": 480, "balanced": 640, "high_quality": 960}


class Spec(msgspec.Struct, frozen=True):
    """`model_profile` sets the size of the network's input; `classes` None keeps all labels."""

    model_name: str
    confidence_threshold: float
    model_profile: str
    classes: tuple[str, ...] | None = None


def load(spec: Spec, runtime: Runtime) -> Objects:
    """Load the checkpoint `spec.model_name`; raises ModelUnavailable."""
    weights = runtime.weights.resolve(spec.model_name, "objects")
    info = model_info(spec.model_name, weights, runtime, *LIBRARIES)
    return Objects(Yolo(weights.path, runtime), info)


class Objects:
    """Finds labelled boxes in frames."""

    def __init__(self, yolo: Yolo, info: ModelInfo) -> None:
        self._yolo = yolo
        self.info = info

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> torch.Tensor:
        """Letterbox the frames to the size of `spec.model_profile`."""
        frames = [arena.frame(ref) for ref in subject.refs]
        return self._yolo.letterbox(frames, INPUT_SIZES[spec.model_profile])

    def infer(self, spec: Spec, inputs: torch.Tensor) -> Boxes:
        """Run the network and its NMS; raises InvalidSpec for unknown labels in `spec.classes`."""
        return self._yolo.detect(inputs, spec.confidence_threshold, spec.classes)

    def postprocess(self, spec: Spec, subject: Frames, outputs: Boxes) -> list[Detection]:
        """Scale the boxes back to the frames."""
        return detections(subject.refs, outputs, self._yolo.labels.__getitem__)
