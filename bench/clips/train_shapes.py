"""Trains the shapes detector: `python -m bench.clips.train_shapes`, seeded, 10 min on one core."""

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["YOLO_OFFLINE"] = "true"  # read on import: otherwise ultralytics reports its use

import av
import cv2
import numpy as np
import torch
import ultralytics
from rich.console import Console
from rich.progress import track
from ultralytics.nn.tasks import DetectionModel

from bench.clips import backdrops
from bench.clips.generate import make_demo
from bench.clips.shapes import LABELS, Box, Colour, Frame, draw, scatter, vivid

WEIGHTS = Path(__file__).parents[2] / "gpu_workers" / "weights" / "shapes.pt"
SMALL, FULL = (320, 192), (640, 384)  # training sizes, (width, height)
_FULL_EVERY = 5  # a step at full size costs four times as much
_FULL_FROM = 0.92  # the last steps all use the full size
_GREY = 114  # the colour with which ultralytics pads a letterboxed image
_WORDS = ["open", "STOP", "0123", "zoo", "o.O", "coffee", "24:00", "Q&A", "exit", "ODD", "Line"]
_WORDS += ["[ok]", "<A>", "Vivid", "*star*", "808"]

# YOLOv8's architecture (Jocher et al., 2023) with an eighth of YOLOv8n's weights.
_ARCHITECTURE: dict[str, Any] = {
    "nc": len(LABELS),
    "reg_max": 8,
    "backbone": [
        [-1, 1, "Conv", [12, 3, 2]],
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "C2f", [16, True]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "C2f", [32, True]],
        [-1, 1, "Conv", [48, 3, 2]],
        [-1, 1, "C2f", [48, True]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "C2f", [64, True]],
        [-1, 1, "SPPF", [64, 5]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 6], 1, "Concat", [1]],
        [-1, 1, "C2f", [48]],
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 1, "C2f", [32]],
        [-1, 1, "Conv", [32, 3, 2]],
        [[-1, 12], 1, "Concat", [1]],
        [-1, 1, "C2f", [48]],
        [-1, 1, "Conv", [48, 3, 2]],
        [[-1, 9], 1, "Concat", [1]],
        [-1, 1, "C2f", [64]],
        [[15, 18, 21], 1, "Detect", [len(LABELS)]],
    ],
}


def picture(rng: np.random.Generator, width: int, height: int) -> tuple[Frame, tuple[Box, ...]]:
    """A random backdrop, often with text and bars, and usually with up to six shapes."""
    frame = _backdrop(rng, width, height)
    for _ in range(rng.integers(4) if rng.uniform() < 0.4 else 0):
        _bar(rng, frame)
    if rng.uniform() < 0.5:
        lines = [" ".join(rng.choice(_WORDS, 3)) for _ in range(rng.integers(1, 6))]
        size = width * float(np.exp(rng.uniform(np.log(0.02), np.log(0.17))))
        place = int(rng.uniform(-0.1, 0.5) * width), int(rng.uniform(-0.1, 0.7) * height)
        frame = backdrops.write(frame, lines, *place, size, _any_colour(rng))
    count = 0 if rng.uniform() < 0.25 else int(rng.integers(1, 7))
    boxes = draw(frame, scatter(rng, width, height, count, (0.028 * width, 0.28 * width)))
    return _degrade(rng, frame), boxes


def batch(rng: np.random.Generator, count: int, width: int, height: int) -> dict[str, torch.Tensor]:
    """Images (count, 3, height, width) from 0 to 1, with targets for ultralytics' loss."""
    images = np.full((count, height, width, 3), _GREY, np.uint8)
    targets = []
    for index, image in enumerate(images):
        top = height // 32 if rng.uniform() < 0.5 else 0  # half are letterboxed like 16:9 images
        frame, boxes = picture(rng, width, height - 2 * top)
        image[top : height - top] = frame
        for box in boxes:
            x, y = box.x + box.width / 2, box.y + box.height / 2 + top
            place = x / width, y / height, box.width / width, box.height / height
            targets.append([index, LABELS.index(box.label), *place])
    table = torch.tensor(targets, dtype=torch.float32).reshape(-1, 6)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return {
        "img": pixels.contiguous(memory_format=torch.channels_last),
        "batch_idx": table[:, 0],
        "cls": table[:, 1],
        "bboxes": table[:, 2:],
    }


def train(steps: int, batch_size: int = 6, seed: int = 20240607) -> DetectionModel:
    """Train a detector on `steps` batches of new images, with YOLOv8's own loss."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # equal sums on any machine, and no waiting on shared cores
    rng = np.random.default_rng(seed)
    model = DetectionModel(_ARCHITECTURE, ch=3, verbose=False).to(memory_format=torch.channels_last)
    model.names = dict(enumerate(LABELS))
    model.args = SimpleNamespace(box=7.5, cls=1.0, dfl=1.5)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, total_steps=steps, pct_start=0.1
    )
    console = Console(stderr=True)
    for step in track(range(steps), "training", console=console):
        size = FULL if step % _FULL_EVERY == 0 or step > _FULL_FROM * steps else SMALL
        loss = model.loss(batch(rng, batch_size, *size))[0].sum() / batch_size
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            console.print(f"step {step}: loss {loss.item():.2f}")
    return model.eval()


def save(model: DetectionModel, path: Path) -> None:
    """Write a checkpoint that `ultralytics.YOLO` loads: half precision, no trace of the machine."""
    model.args, model.criterion = {}, None
    torch.save(
        {
            "epoch": -1,
            "model": model.to(memory_format=torch.contiguous_format).half().requires_grad_(False),
            "train_args": {},
            "version": ultralytics.__version__,
            "license": "AGPL-3.0",
        },
        path,
    )


@dataclass
class Score:
    """Detections compared with the ground truth, in boxes."""

    shapes: int = 0
    found: int = 0  # correct label and an IoU above 0.5
    false: int = 0


def measure(weights: Path, frames: Iterable[tuple[Frame, Sequence[Box]]]) -> Score:
    """Compare a checkpoint's detections at confidence 0.5 with the true boxes of RGB frames."""
    yolo, score = ultralytics.YOLO(weights), Score()
    for frame, truth in frames:
        result = yolo.predict(frame[:, :, ::-1], imgsz=640, conf=0.5, verbose=False)[0]
        left = list(truth)
        for (x1, y1, x2, y2), label in zip(
            result.boxes.xyxy.tolist(), result.boxes.cls, strict=True
        ):
            box = Box(result.names[int(label)], x1, y1, x2 - x1, y2 - y1)
            hit = next((t for t in left if t.label == box.label and t.iou(box) > 0.5), None)
            if hit is None:
                score.false += 1
            else:
                left.remove(hit)
        score.shapes += len(truth)
        score.found += len(truth) - len(left)
    return score


def main() -> None:
    """Train, write the checkpoint, and show its score on new images and clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    save(train(options.steps), options.output)
    rng, console = np.random.default_rng(1), Console()
    drawn = (picture(rng, 1280, 720) for _ in range(200))
    console.print("new images:", measure(options.output, drawn))
    console.print("demo clip:", measure(options.output, _demo_frames()))


def _demo_frames() -> Iterator[tuple[Frame, Sequence[Box]]]:
    """Every 30th frame of the demo clip, encoded and decoded, with its true boxes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.mp4"
        truth = make_demo(path)
        with av.open(path) as clip:
            for frame, boxes in zip(clip.decode(video=0), truth.boxes, strict=True):
                if frame.pts * frame.time_base % 1 == 0:  # at 30 fps
                    yield frame.to_ndarray(format="rgb24"), boxes


def _backdrop(rng: np.random.Generator, width: int, height: int) -> Frame:
    first, second, angle = _any_colour(rng), _any_colour(rng), rng.uniform(0, 2 * np.pi)
    match rng.integers(7):
        case 0:
            return np.full((height, width, 3), first, np.uint8)
        case 1:
            return backdrops.gradient(width, height, first, second, angle)
        case 2:
            return backdrops.clouds(rng, width, height, first, second)
        case 3:
            return backdrops.bricks(rng, width, height, first)
        case 4:
            return backdrops.stripes(width, height, first, second, angle)
        case _:
            scene = backdrops.photo(backdrops.PHOTOS[rng.integers(len(backdrops.PHOTOS))])
            centre = rng.uniform(), rng.uniform()
            return backdrops.window(scene, width, height, centre, rng.uniform(1, 2.5))


def _any_colour(rng: np.random.Generator) -> Colour:
    if rng.uniform() < 0.5:
        return vivid(rng, (0.1, 1.0))
    grey = int(rng.integers(256))
    return grey, grey, grey


def _bar(rng: np.random.Generator, frame: Frame) -> None:
    """Draw a vertical bar or a line: corners and straight edges that are not a shape."""
    height, width = frame.shape[:2]
    x, y = int(rng.integers(width)), int(rng.integers(height))
    if rng.uniform() < 0.5:
        long, thin = int(rng.integers(80, width)), int(rng.integers(3, 30))
        cv2.rectangle(frame, (x, y), (x + long, y + thin), _any_colour(rng), cv2.FILLED)
    else:
        end = int(rng.integers(width)), int(rng.integers(height))
        cv2.line(frame, (x, y), end, _any_colour(rng), int(rng.integers(1, 6)), cv2.LINE_AA)


def _degrade(rng: np.random.Generator, frame: Frame) -> Frame:
    """Add blur, noise and JPEG artefacts, as cameras and codecs do."""
    if rng.uniform() < 0.3:
        frame = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.4, 1.5))
    if rng.uniform() < 0.3:
        noise = np.empty(frame.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, (0, 0, 0), (rng.uniform(2, 10),) * 3)
        frame = np.clip(frame + noise, 0, 255).astype(np.uint8)
    if rng.uniform() < 0.4:
        quality = int(rng.integers(35, 95))
        coded = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return frame


if __name__ == "__main__":
    main()
