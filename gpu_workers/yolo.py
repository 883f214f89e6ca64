"""YOLO network, letterbox and non-maximum suppression (NMS), shared by objects and faces.

The numbers equal those of ultralytics' `YOLO(path).predict(frames)`. This module runs the same
parts in batches, without the package's loaders, threads and downloads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision  # noqa: F401  ultralytics takes torchvision's faster NMS where it is imported
from ultralytics.data.augment import LetterBox
from ultralytics.nn.modules import OBB, Detect, Segment
from ultralytics.nn.tasks import DetectionModel, torch_safe_load
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import scale_boxes

from gpu_workers.cpu_threads import each_alone
from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.weights.errors import ModelUnavailable
from ipc.arena import Pixels
from ipc.results import BBox, Detection
from ipc.subjects import FrameRef
from ipc.tracks import Sample

# Defaults of predict().
IOU_THRESHOLD = 0.7
MAX_DETECTIONS = 300

# ByteTrack ignores empty boxes; responses show hundredths of a pixel.
SMALLEST_SIDE = 0.01

FRAMES_ALONE = 2  # frames per CPU thread in one forward pass

LIBRARIES = ("torch", "torchvision", "ultralytics")

_LABELS_SHOWN = 20


class Boxes(NamedTuple):
    """The network's output: one (found, 6 or more) float32 CPU tensor per frame.

    The columns are x1, y1, x2, y2 in pixels of the network's input, which is `input_size`
    (height, width), then confidence, class, and keypoints if the model has them. Rows are sorted
    by descending confidence.
    """

    input_size: tuple[int, int]
    frames: list[torch.Tensor]


class Yolo:
    """A YOLO detector from an ultralytics checkpoint; of a pose model, only the boxes are used.

    Raises ModelUnavailable if the file is not such a checkpoint.
    """

    def __init__(self, path: Path, runtime: Runtime) -> None:
        network = _read_checkpoint(path).fuse(verbose=False).eval()
        network = network.to(runtime.device, memory_format=torch.channels_last)
        # At 640 px, fp16 resolves 0.5 px and bf16 4 px: the head stays in fp32.
        network.model[:-1].to(runtime.dtype)
        network.model[-1].register_forward_pre_hook(_feed_float32)
        self._network = network
        self._device, self._dtype = runtime.device, runtime.dtype
        self._stride = max(int(network.stride.max()), 32)
        self._class_count = network.model[-1].nc
        self.labels: dict[int, str] = dict(network.names)

    def letterbox(self, frames: Sequence[Pixels], size: int) -> torch.Tensor:
        """Scale (height, width, 3) frames to a longer side of `size` and pad them with grey.

        Returns a (frames, 3, rows, columns) uint8 CPU tensor in channels_last order. Rows and
        columns are the smallest multiples of the stride that fit the frames. If the frames differ
        in size, all are padded to squares.
        """
        side = -(-size // self._stride) * self._stride
        same_size = len({frame.shape for frame in frames}) == 1
        box = LetterBox(side, auto=same_size, stride=self._stride)
        batch = np.stack([box(image=frame) for frame in frames])
        return torch.from_numpy(batch).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def detect(
        self, batch: torch.Tensor, confidence: float, classes: Sequence[str] | None = None
    ) -> Boxes:
        """Detect objects with a confidence above `confidence` in a letterboxed batch.

        Raises InvalidSpec if `classes`, the labels to keep, contains one that the model lacks.
        """
        class_ids = None if classes is None else self._class_ids(classes)
        found = non_max_suppression(
            self._predict(batch.to(self._device)),
            confidence,
            IOU_THRESHOLD,
            class_ids,
            max_det=MAX_DETECTIONS,
            nc=self._class_count,
            max_time_img=inf,  # no time limit: a slow machine must not drop frames
            end2end=self._network.end2end,
        )
        return Boxes((batch.shape[2], batch.shape[3]), [rows.cpu() for rows in found])

    def _predict(self, batch: torch.Tensor) -> torch.Tensor:
        """The head's raw output per anchor: (frames, rows, anchors), or the head's own shape."""

        def forward(frames: torch.Tensor) -> torch.Tensor:
            predictions: torch.Tensor = self._network(frames.to(self._dtype) / 255)[0]
            return predictions

        if self._device.type != "cpu":
            return forward(batch)
        return torch.cat(each_alone(forward, torch.split(batch, FRAMES_ALONE)))

    def _class_ids(self, classes: Sequence[str]) -> list[int]:
        ids = {label: i for i, label in self.labels.items()}
        for label in classes:
            if label not in ids:
                raise InvalidSpec(
                    "classes", f"The model has no class {label!r}; it has {_listed(ids)}."
                )
        return [ids[label] for label in classes]


def detections(
    refs: Sequence[FrameRef], boxes: Boxes, label_of: Callable[[int], str]
) -> list[Detection]:
    """Scale boxes to the pixels of their frames and clip them to the frame."""
    items = []
    for ref, rows in zip(refs, boxes.frames, strict=True):
        corners = scale_boxes(boxes.input_size, rows[:, :4].clone(), (ref.height, ref.width))
        for (x1, y1, x2, y2), (confidence, class_id) in zip(
            corners.tolist(), rows[:, 4:6].tolist(), strict=True
        ):
            items.append(
                Detection(
                    frame_index=ref.frame_index,
                    timestamp_ms=round(ref.timestamp_ms),
                    label=label_of(int(class_id)),
                    confidence=round(confidence, 4),
                    bbox=BBox(round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)),
                )
            )
    return items


def samples(
    refs: Sequence[FrameRef], boxes: Boxes, label_of: Callable[[int], str], threshold: float
) -> list[Sample]:
    """The detections above `threshold`, as from `detections`, and all boxes for the tracker.

    A score of exactly `threshold` is neither above nor below: its box is left out.
    """
    frames = []
    for ref, found in zip(refs, boxes.frames, strict=True):
        rows = found[found[:, 4] != threshold, :6]
        reported = Boxes(boxes.input_size, [rows[rows[:, 4] > threshold]])
        scale_boxes(boxes.input_size, rows[:, :4], (ref.height, ref.width))  # in place
        rows[:, 2:4] = rows[:, 2:4].maximum(rows[:, :2] + SMALLEST_SIDE)
        items = detections([ref], reported, label_of)
        frames.append(Sample(ref.timestamp_ms, items, rows.numpy().tobytes()))
    return frames


def _read_checkpoint(path: Path) -> DetectionModel:
    """Load a checkpoint's network in fp32. Only known classes are unpickled."""
    try:
        checkpoint, _ = torch_safe_load(str(path), safe_only=True)
        network = checkpoint.get("ema") or checkpoint["model"]
        head = network.model[-1]
    except Exception as error:  # the unpickler may raise anything on another kind of file
        raise ModelUnavailable(
            f"{path.name} is no YOLO checkpoint: {_first_line(error)}"
        ) from error
    if not isinstance(head, Detect) or isinstance(head, Segment | OBB):
        raise ModelUnavailable(
            f"{path.name} is no YOLO detection model: it ends in {type(head).__name__}."
        )
    return network.float()


def _feed_float32(
    _head: torch.nn.Module, args: tuple[list[torch.Tensor]]
) -> tuple[list[torch.Tensor]]:
    return ([features.float() for features in args[0]],)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _listed(labels: Sequence[str] | dict[str, int]) -> str:
    shown = list(labels)[:_LABELS_SHOWN]
    more = len(labels) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
