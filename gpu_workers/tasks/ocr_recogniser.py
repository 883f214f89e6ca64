"""EasyOCR's text recogniser, on the crops of many frames at once.

`readtext` reads one crop at a time, each padded to a width that depends on that crop alone and is
a multiple of 64. Crops of equal width are read together here, so that every crop meets the network
exactly as it does there.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from bidi import get_display
from easyocr.recognition import AlignCollate, recognizer_predict
from easyocr.utils import CTCLabelConverter, get_image_list
from PIL import Image

from gpu_workers.tasks.ocr_detector import TextBoxes
from gpu_workers.tasks.ocr_languages import Script
from ipc.frames import Pixels

HEIGHT = 64
MAX_BATCH_COLUMNS = 16_384  # of all crops of a batch together; a column takes 17 kB on a CPU
FAINT = 0.1  # a crop read with less confidence is read again with more contrast
CONTRAST = 0.5

# The package of each generation's network, and its number of channels.
NETWORKS = {"gen1": ("easyocr.model.model", 512), "gen2": ("easyocr.model.vgg_model", 256)}


@dataclass(frozen=True)
class Crop:
    """The picture of one box, grey, and the width it is padded to; corners in the frame."""

    corners: list[list[float]]
    picture: Pixels
    width: int


@dataclass(frozen=True)
class Reading:
    """One piece of text, with its corners (4 x [x, y], clockwise) in the frame's pixels."""

    corners: list[list[float]]
    text: str
    confidence: float


def cut(boxes: TextBoxes, grey: Pixels) -> list[Crop]:
    """Cut the boxes out of a (height, width) frame, upright ones first, each on its own."""
    height, width = grey.shape
    upright = [box for box in boxes.upright if _overlaps(box, height, width)]
    slanted = [box for box in boxes.slanted if _has_area(box)]
    cuts = [get_image_list([box], [], grey, HEIGHT) for box in upright]
    cuts += [get_image_list([], [box], grey, HEIGHT) for box in slanted]
    return [Crop(corners, image, width) for images, width in cuts for corners, image in images]


def _overlaps(box: list[int], height: int, width: int) -> bool:
    """Whether any of the frame is in `box`; `readtext` fails on a box in the canvas's padding."""
    x_min, x_max, y_min, y_max = box
    return max(0, x_min) < min(x_max, width) and max(0, y_min) < min(y_max, height)


def _has_area(box: list[list[float]]) -> bool:
    """Whether `box` is a pixel wide and high; `readtext` fails on one that is not."""
    corners = np.array(box, np.float32)
    left, top, right, bottom = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    return bool(max(left, right) >= 1 and max(top, bottom) >= 1)


class Recogniser:
    """The network that reads `script`, with the weights in `path`.

    It stays in fp32: it is small beside CRAFT, and confidences multiply over many steps.
    """

    def __init__(self, script: Script, path: Path, device: torch.device) -> None:
        package, channels = NETWORKS[script.generation]
        self._converter = CTCLabelConverter(script.characters)
        net = importlib.import_module(package).Model(
            input_channel=1,
            output_channel=channels,
            hidden_size=channels,
            num_class=len(self._converter.character),
        )
        state = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
        self._net = net.eval().to(device)
        self._device = device
        self._script = script

    def read(self, crops: list[Crop]) -> list[Reading]:
        """Read every crop, as `easyocr.recognition.get_text` does."""
        readings = self._predict(crops, 0.0)
        faint = [i for i, (_, confidence) in enumerate(readings) if confidence < FAINT]
        again = self._predict([crops[i] for i in faint], CONTRAST)
        for i, second in zip(faint, again, strict=True):
            if readings[i][1] <= second[1]:
                readings[i] = second
        return [
            Reading(crop.corners, get_display(text) if self._script.right_to_left else text, score)
            for crop, (text, score) in zip(crops, readings, strict=True)
        ]

    def _predict(self, crops: list[Crop], contrast: float) -> list[tuple[str, float]]:
        """Text and confidence of each crop; with the contrast raised to `contrast`."""
        order = sorted(range(len(crops)), key=lambda i: crops[i].width)
        read = recognizer_predict(
            self._net,
            self._converter,
            _batches([crops[i] for i in order], contrast),
            0,  # the longest text: these networks do not look at it
            self._script.ignored,
            {},
            device=self._device,
        )
        found = {i: (text, float(score)) for i, (text, score) in zip(order, read, strict=True)}
        return [found[i] for i in range(len(crops))]


def _batches(crops: list[Crop], contrast: float) -> Iterator[torch.Tensor]:
    """Crops in order of width as (n, 1, 64, width) float32, a batch never mixing widths."""
    for width, group in groupby(crops, key=lambda crop: crop.width):
        collate = AlignCollate(HEIGHT, width, adjust_contrast=contrast)
        alike = [Image.fromarray(crop.picture) for crop in group]
        size = max(1, MAX_BATCH_COLUMNS // width)
        for start in range(0, len(alike), size):
            yield collate(alike[start : start + size])
