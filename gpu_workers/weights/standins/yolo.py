"""Stand-in YOLOv8n checkpoints: random weights, calibrated until they find boxes."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_workers.weights.standins.calibration import (
    calibrate_batch_norm,
    ignore_whole_picture,
    save,
    standardize,
)
from gpu_workers.weights.standins.calibration_pictures import calibration_pictures

SCORE_SPREAD = 1.6  # standard deviation of the class logits
SIDE_SPREAD = 3.0  # standard deviation of the logits for the distances to a box's sides


def make_yolo(path: Path, *, face: bool, seed: int) -> None:
    """Write a checkpoint that `ultralytics.YOLO` loads; `face` gives the one-class face model."""
    from ultralytics import __version__
    from ultralytics.cfg import DEFAULT_CFG_DICT
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    torch.manual_seed(seed)
    n_classes = 1 if face else 80
    config = {**yaml_model_load("yolov8n.yaml"), "nc": n_classes}
    model = DetectionModel(config, verbose=False)
    model.names = {0: "face"} if face else _coco_names()
    model.args = {**DEFAULT_CFG_DICT, "model": "yolov8n.yaml", "task": "detect"}
    pictures = torch.stack(
        [torch.from_numpy(p).permute(2, 0, 1) / 255 for p in calibration_pictures(384, 640)]
    )
    calibrate_batch_norm(model, pictures)
    _calibrate_head(model, pictures, boxes_per_picture=100 if face else 180)
    checkpoint = {
        "epoch": -1,
        "best_fitness": None,
        "model": model.half(),
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": {"task": "detect", "imgsz": 640, "data": "coco.yaml"},
        "date": "1970-01-01T00:00:00",
        "version": __version__,
    }
    save(checkpoint, path)


def _coco_names() -> dict[int, str]:
    from ultralytics.cfg import YAML
    from ultralytics.utils import ROOT

    names: dict[int, str] = YAML.load(ROOT / "cfg/datasets/coco.yaml")["names"]
    return names


def _calibrate_head(model: Any, pictures: Tensor, boxes_per_picture: int) -> None:
    """Spread the scores and box sides of the Detect head over the images.

    Gives every class logit mean 0 and the same spread, then lowers all until only the best few
    anchors per image exceed a score of 0.5.
    """

    head = model.model[-1]
    inputs: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, args: inputs.extend(args[0]))
    with torch.no_grad():
        model(pictures)
        hook.remove()
        peaks = []
        for sides, classes, features in zip(head.cv2, head.cv3, inputs, strict=True):
            standardize(sides[-1], sides[:-1](features), SIDE_SPREAD)
            before = classes[:-1](features)
            ignore_whole_picture(classes[-1], before)
            logits = standardize(classes[-1], before, SCORE_SPREAD)
            peaks.append(logits.amax(1).flatten())
        best = torch.cat(peaks).topk(boxes_per_picture * len(pictures)).values
        for classes in head.cv3:
            classes[-1].bias -= best[-1]
