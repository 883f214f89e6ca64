"""EasyOCR's text recogniser, on the crops of many frames in one batch.

`readtext` reads one crop at a time, padded on the right with copies of its last column to a width
that depends on that crop alone. Here, crops of equal padded width form a batch, so each crop gives
the network the same input. Far inside the padding, all features are equal: only the start of the
padding is convolved, and the feature there is repeated.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from bidi import get_display
from easyocr.recognition import AlignCollate, custom_mean
from easyocr.utils import CTCLabelConverter, get_image_list
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from gpu_workers.cpu_threads import each_alone
from gpu_workers.ocr.detector import TextBoxes
from gpu_workers.ocr.languages import Script
from gpu_workers.ocr.layers import place
from gpu_workers.ocr.reading import Reading
from gpu_workers.tensors import read_tensors
from ipc.arena import Pixels

HEIGHT = 64
# Total columns of a batch's crops. A column takes 17 kB, and each CPU core holds a batch.
MAX_BATCH_COLUMNS = {"cpu": 4096, "cuda": 16_384}
COLUMN_GROUP = 32  # image widths are multiples of it, so that several are equal
COLUMNS_PER_STEP = 4
FAINT = 0.1  # a crop below this confidence is read again with more contrast
CONTRAST = 0.5
BLANK = 0  # the CTC blank class


@dataclass(frozen=True)
class Network:
    """A generation of EasyOCR's recognisers: its package and its number of channels.

    `padding` is the number of padding columns after which a feature sees only padding. The last
    `edge` features see the image's right edge.
    """

    package: str
    channels: int
    padding: int
    edge: int


# The features at step i see columns 4i - 104 to 4i + 103 in gen1, 4i - 19 to 4i + 26 in gen2.
NETWORKS = {
    "gen1": Network("easyocr.model.model", 512, padding=207, edge=26),
    "gen2": Network("easyocr.model.vgg_model", 256, padding=46, edge=5),
}


@dataclass(frozen=True)
class Crop:
    """The greyscale image of one box, and the width to pad it to; corners are in the frame."""

    corners: list[list[float]]
    picture: Pixels
    width: int


def cut(boxes: TextBoxes, grey: Pixels) -> list[Crop]:
    """Crop the boxes from a (height, width) frame, one by one, upright boxes first."""
    height, width = grey.shape
    upright = [box for box in boxes.upright if _overlaps(box, height, width)]
    slanted = [box for box in boxes.slanted if _has_area(box)]
    cuts = [get_image_list([box], [], grey, HEIGHT) for box in upright]
    cuts += [get_image_list([], [box], grey, HEIGHT) for box in slanted]
    return [Crop(corners, image, width) for images, width in cuts for corners, image in images]


def _overlaps(box: list[int], height: int, width: int) -> bool:
    """Whether `box` overlaps the frame; `readtext` fails on a box in the canvas's padding."""
    x_min, x_max, y_min, y_max = box
    return max(0, x_min) < min(x_max, width) and max(0, y_min) < min(y_max, height)


def _has_area(box: list[list[float]]) -> bool:
    """Whether `box` is at least a pixel wide and high; `readtext` fails on a smaller one."""
    corners = np.array(box, np.float32)
    left, top, right, bottom = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    return bool(max(left, right) >= 1 and max(top, bottom) >= 1)


class Recogniser:
    """The recognition network for `script`, with the weights from `path`.

    It stays in fp32: it is small compared to CRAFT, and confidences multiply over many steps.
    """

    def __init__(self, script: Script, path: Path, device: torch.device) -> None:
        self._network = NETWORKS[script.generation]
        self._converter = CTCLabelConverter(script.characters)
        net = importlib.import_module(self._network.package).Model(
            input_channel=1,
            output_channel=self._network.channels,
            hidden_size=self._network.channels,
            num_class=len(self._converter.character),
        )
        state = read_tensors(path)
        net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
        place(net.eval(), device, torch.float32)
        # The two halves are called separately: padding features are inserted between them.
        self._see, net.FeatureExtraction = net.FeatureExtraction, nn.Identity()
        self._read = net
        self._device = device
        self._on_cpu = device.type == "cpu"
        self._batch_columns = MAX_BATCH_COLUMNS[device.type]
        self._ignored = torch.tensor(script.ignored, dtype=torch.long, device=device)
        self._right_to_left = script.right_to_left

    def read(self, crops: list[Crop]) -> list[Reading]:
        """Read every crop, as `easyocr.recognition.get_text` does."""
        readings = self._predict(crops, 0.0)
        faint = [i for i, (_, confidence) in enumerate(readings) if confidence < FAINT]
        again = self._predict([crops[i] for i in faint], CONTRAST)
        for i, second in zip(faint, again, strict=True):
            if readings[i][1] <= second[1]:
                readings[i] = second
        return [
            Reading(crop.corners, get_display(text) if self._right_to_left else text, score)
            for crop, (text, score) in zip(crops, readings, strict=True)
        ]

    def _predict(self, crops: list[Crop], contrast: float) -> list[tuple[str, float]]:
        """Text and confidence of each crop, with the contrast raised to `contrast`."""
        batches = list(self._batches(crops))

        def read(batch: list[int]) -> list[tuple[str, float]]:
            features = self._features([crops[i] for i in batch], contrast)
            return self._decode(self._read(features, None))

        results = each_alone(read, batches) if self._on_cpu else map(read, batches)
        found: dict[int, tuple[str, float]] = {}
        for batch, texts in zip(batches, results, strict=True):
            found.update(zip(batch, texts, strict=True))
        return [found[i] for i in range(len(crops))]

    def _batches(self, crops: list[Crop]) -> Iterator[list[int]]:
        """Indices of crops of equal width per batch, the widest, which take longest, first."""
        order = sorted(range(len(crops)), key=lambda i: (-crops[i].width, self._columns(crops[i])))
        for width, group in groupby(order, key=lambda i: crops[i].width):
            alike = list(group)
            size = max(1, self._batch_columns // width)
            for start in range(0, len(alike), size):
                yield alike[start : start + size]

    def _columns(self, crop: Crop) -> int:
        """The image width that `crop` needs to produce all distinct features."""
        height, width = map(int, crop.picture.shape)
        enough = math.ceil(HEIGHT * width / height) + self._network.padding
        return min(crop.width, -(-enough // COLUMN_GROUP) * COLUMN_GROUP)

    def _features(self, crops: list[Crop], contrast: float) -> Tensor:
        """Convolve crops of one padded width to features, (n, channels, height, steps)."""
        parts = []
        for columns, group in groupby(crops, key=self._columns):
            collate = AlignCollate(HEIGHT, columns, adjust_contrast=contrast)
            pictures = collate([Image.fromarray(crop.picture) for crop in group])
            pictures = pictures.to(self._device, memory_format=torch.channels_last)
            parts.append(self._widened(self._see(pictures), crops[0].width - columns))
        return torch.cat(parts)

    def _widened(self, x: Tensor, columns: int) -> Tensor:
        """Insert the features of `columns` more padding columns."""
        edge = self._network.edge
        same = x[..., -edge - 1 : -edge].expand(-1, -1, -1, columns // COLUMNS_PER_STEP)
        return torch.cat([x[..., :-edge], same, x[..., -edge:]], dim=3)

    def _decode(self, logits: Tensor) -> list[tuple[str, float]]:
        """The most likely class at each of (n, steps, classes) that is not ignored."""
        shares = logits.softmax(2).index_fill_(2, self._ignored, 0)
        shares /= shares.sum(2, keepdim=True)
        values, classes = (best.cpu().numpy() for best in shares.max(2))
        texts = self._converter.decode_greedy(classes.ravel(), [classes.shape[1]] * len(classes))
        scores = [
            _confidence(value[row != BLANK]) for value, row in zip(values, classes, strict=True)
        ]
        return list(zip(texts, scores, strict=True))


def _confidence(shares: NDArray[np.float32]) -> float:
    return float(custom_mean(shares)) if len(shares) else 0.0
