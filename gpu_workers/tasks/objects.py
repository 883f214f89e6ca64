"""Objects: YOLO, with the labels of its checkpoint (COCO's 80 for the default one)."""

from __future__ import annotations

import torch

from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from gpu_workers.yolo import LIBRARIES, Boxes, Yolo, detections
from ipc.arena import ArenaView
from ipc.messages import Frames, ModelInfo
from ipc.results import Detections
from ipc.specs import ObjectsSpec

# The longer side of the network's input, in pixels. 640 is what the checkpoints are trained at.
INPUT_SIZES = {"fast": 480, "balanced": 640, "high_quality": 960}


def load(spec: ObjectsSpec, runtime: Runtime) -> Objects:
    """Load the checkpoint `spec.model_name`; raises ModelUnavailable."""
    weights = runtime.weights.resolve(spec.model_name, "objects")
    info = model_info(spec.model_name, weights, runtime, *LIBRARIES)
    return Objects(Yolo(weights.path, runtime), info)


class Objects:
    """Finds labelled boxes in frames."""

    def __init__(self, yolo: Yolo, info: ModelInfo) -> None:
        self._yolo = yolo
        self.info = info

    def preprocess(self, spec: ObjectsSpec, subject: Frames, arena: ArenaView) -> torch.Tensor:
        """Letterbox the frames to the size of `spec.model_profile`."""
        frames = [arena.frame(ref) for ref in subject.refs]
        return self._yolo.letterbox(frames, INPUT_SIZES[spec.model_profile])

    def infer(self, spec: ObjectsSpec, inputs: torch.Tensor) -> Boxes:
        """Run the network and its NMS; raises UnknownClass for a label in `spec.classes`."""
        return self._yolo.detect(inputs, spec.confidence_threshold, spec.classes)

    def postprocess(self, spec: ObjectsSpec, subject: Frames, outputs: Boxes) -> Detections:
        """Scale the boxes back to the frames."""
        return detections(subject.refs, outputs, self._yolo.labels.__getitem__)
