"""EasyOCR's text detector, CRAFT, on batches of frames of equal size.

Pre- and postprocessing are EasyOCR's, with the defaults of `easyocr.Reader.readtext`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import torch
from easyocr.craft_utils import adjustResultCoordinates
from easyocr.imgproc import resize_aspect_ratio
from easyocr.utils import diff, group_text_box
from numpy.typing import NDArray

from gpu_workers.model import Runtime
from gpu_workers.ocr.boxes import find_boxes
from gpu_workers.ocr.craft import Craft
from ipc.arena import Pixels

# Eight 1080p frames take 6 GB of GPU memory in half precision.
BATCH_PIXELS = 8 * 1088 * 1920

MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True, eq=False)
class Page:
    """A frame to read: CRAFT's input, its scale factor, and the greyscale frame.

    `canvas` is (height, width, 3) BGR, its sides padded with black to multiples of 32; `grey` is
    (height, width) in the frame's original size.
    """

    canvas: Pixels
    scale: float
    grey: Pixels


@dataclass(frozen=True)
class TextBoxes:
    """Text boxes: upright ones as [x_min, x_max, y_min, y_max], slanted ones as 4 corners."""

    upright: list[list[int]]
    slanted: list[list[list[float]]]


def to_page(frame: Pixels) -> Page:
    """Preprocess a (height, width, 3) RGB frame as `readtext` does the result of `cv2.imread`."""
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    canvas, scale, _ = resize_aspect_ratio(bgr, 2560, interpolation=cv2.INTER_LINEAR, mag_ratio=1.0)
    return Page(canvas.astype(np.uint8), scale, cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))


class Detector:
    """CRAFT with the weights from `path`."""

    def __init__(self, path: Path, runtime: Runtime) -> None:
        self._craft = Craft(path, runtime.device, runtime.dtype)
        self._device = runtime.device
        self._dtype = runtime.dtype
        # EasyOCR passes BGR, but normalises it as RGB. We do the same, to get the same boxes.
        self._mean = torch.tensor(MEAN, device=runtime.device)[:, None, None]
        self._deviation = torch.tensor(DEVIATION, device=runtime.device)[:, None, None]

    def find(self, pages: list[Page]) -> list[TextBoxes]:
        """Find the text boxes of each page."""
        boxes: list[TextBoxes] = []
        for _, group in groupby(pages, key=lambda page: page.canvas.shape):
            alike = list(group)
            height, width, _ = alike[0].canvas.shape
            size = max(1, BATCH_PIXELS // (height * width))
            for start in range(0, len(alike), size):
                batch = alike[start : start + size]
                maps = self._score(np.stack([page.canvas for page in batch]))
                boxes += map(_boxes, maps, batch)
        return boxes

    def _score(self, canvases: Pixels) -> NDArray[np.float32]:
        """Map (n, height, width, 3) uint8 to (n, 2, height/2, width/2): text and link scores."""
        # The permuted view of (n, height, width, 3) is already channels_last.
        x = torch.from_numpy(canvases).to(self._device).permute(0, 3, 1, 2).float()
        x = (x - self._mean) / self._deviation
        scores = self._craft(x.to(self._dtype, memory_format=torch.channels_last))
        return scores.float().contiguous().cpu().numpy()


def _boxes(scores: NDArray[np.float32], page: Page) -> TextBoxes:
    """Convert a page's (2, height, width) scores to boxes on its frame, as `Reader.detect`."""
    text, link = scores
    found = adjustResultCoordinates(find_boxes(text, link), 1 / page.scale, 1 / page.scale)
    corners = [np.array(box).astype(np.int32).reshape(-1) for box in found]
    upright, slanted = group_text_box(
        corners, slope_ths=0.1, ycenter_ths=0.5, height_ths=0.5, width_ths=0.5, add_margin=0.1
    )
    return TextBoxes(
        [box for box in upright if max(box[1] - box[0], box[3] - box[2]) > 20],
        [box for box in slanted if max(map(diff, zip(*box, strict=True))) > 20],
    )
