"""Real frames, and the comparison of their boxes with those of ultralytics."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import torch
from ultralytics import YOLO
from ultralytics.engine.results import Results
from ultralytics.utils import ASSETS

from ipc.results import Detection


def clip_frames(path: Path, count: int, interval: int) -> list[np.ndarray]:
    """Every `interval`th frame as RGB."""
    frames = []
    with av.open(str(path)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i % interval == 0:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                break
    return frames


def picture(name: str) -> np.ndarray:
    """One of the images in the ultralytics package, as RGB."""
    return np.ascontiguousarray(cv2.imread(str(ASSETS / name))[..., ::-1])


def predict(reference: YOLO, frames: list[np.ndarray], **options: object) -> list[Results]:
    """The result of ultralytics; restores the number of torch threads, which it reduces."""
    threads = torch.get_num_threads()
    bgr = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
    results: list[Results] = reference.predict(bgr, verbose=False, **options)
    torch.set_num_threads(threads)
    return results


def corners(item: Detection) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2."""
    box = item.bbox
    return box.x, box.y, box.x + box.width, box.y + box.height


def same(
    item: Detection, xyxy: tuple[float, ...], score: float, pixels: float, confidence: float
) -> bool:
    """Whether an item is that box, within `pixels` and `confidence`."""
    near = np.allclose(corners(item), xyxy, rtol=0, atol=pixels)
    return bool(near and abs(item.confidence - score) < confidence)


def assert_same(items: list[Detection], results: list[Results], names: dict[int, str]) -> None:
    """Each frame has the boxes of its ultralytics result, within 0.5 px; at least ten in all."""
    left = list(items)
    count = 0
    for i, result in enumerate(results):
        for row in result.boxes.data.cpu().tolist():
            match = next(
                item
                for item in left
                if item.frame_index == i
                and item.label == names[int(row[5])]
                and same(item, tuple(row[:4]), row[4], 0.5, 1e-3)
            )
            left.remove(match)
            count += 1
    assert left == []
    assert count >= 10
