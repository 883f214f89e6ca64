"""EasyOCR's own `readtext` as the reference, on the same frames with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import easyocr
import numpy as np
import pytest

from gpu_workers.inference import run
from gpu_workers.tasks import ocr
from gpu_workers.tasks.ocr import Ocr
from ipc.results import TextDetection

if TYPE_CHECKING:
    from tests.conftest import FrameStore

ENGLISH = ocr.Spec(("en",))
# EasyOCR pins memory for a device whether or not there is one.
without_device = pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning")


def english_reader(weights: Path, networks: Path) -> easyocr.Reader:
    """An unquantized Reader on the CPU; `networks` is an empty folder."""
    return easyocr.Reader(
        ["en"],
        gpu=False,
        model_storage_directory=str(weights),
        user_network_directory=str(networks),
        download_enabled=False,
        verbose=False,
        quantize=False,
    )


def narrow(frame: np.ndarray, width: int) -> np.ndarray:
    height = round(frame.shape[0] * width / frame.shape[1])
    return cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=cv2.INTER_AREA)


def corners(item: TextDetection) -> np.ndarray:
    return np.array([(point.x, point.y) for point in item.polygon])


def assert_same(items: list[TextDetection], read: list[tuple]) -> None:
    """The items of one frame equal the result of `readtext`, in order of confidence."""
    left = list(items)
    for polygon, text, confidence in read:
        same = [
            item
            for item in left
            if item.text == text
            and np.allclose(corners(item), polygon, rtol=0, atol=1)
            and abs(item.confidence - confidence) < 1e-3
        ]
        assert same, f"{text!r} is not among {left}"
        left.remove(same[0])
    assert not left
    confidences = [item.confidence for item in items]
    assert confidences == sorted(confidences, reverse=True)


def assert_same_as_readtext(
    model: Ocr, reader: easyocr.Reader, store: FrameStore, frames: list[np.ndarray]
) -> None:
    found = run(model, ENGLISH, store.put(frames), store.view)
    read = [reader.readtext(np.ascontiguousarray(frame[..., ::-1])) for frame in frames]
    assert len(found) >= 10
    assert sum(map(len, read)) >= 10
    for index, texts in enumerate(read):
        assert_same([item for item in found if item.frame_index == index], texts)
