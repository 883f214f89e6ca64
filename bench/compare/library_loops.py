"""The alternative to the service: each library's own loop over a video.

Every loop decodes the video itself, with a loaded model. Items have the form of the service's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

os.environ["YOLO_OFFLINE"] = "true"  # read on import: otherwise ultralytics reports its use

import cv2
import numpy as np
import numpy.typing as npt
import scenedetect
import torch
from torchvision import models, transforms
from ultralytics import YOLO

from bench.compare.rounds import Contest, Item, Turn, WorkDiffers
from bench.service_process import ROOT

Picture = npt.NDArray[np.uint8]

INTERVAL = 30  # every 30th frame
CONFIDENCE = 0.5
CORES = len(os.sched_getaffinity(0))
DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"


class Loop(Protocol):
    """A library with its model loaded."""

    def warm_up(self, media: Path) -> None:
        """Do a little of the work, untimed."""

    def run(self, media: Path) -> list[Item]:
        """Do the work; raises WorkDiffers."""


class Loops:
    """The libraries' side of a contest: one task's loop after the other.

    `threads` are those of torch; the others use all cores.
    """

    def __init__(self, loops: Mapping[str, Loop], threads: Mapping[str, int] | None = None) -> None:
        self._loops = loops
        self._threads = threads or {}
        self._warm: set[tuple[str, Path]] = set()

    def warm_up(self, contest: Contest) -> None:
        """Use each model once."""
        for task in contest.tasks:
            if (task, contest.media) not in self._warm:
                self._loops[task].warm_up(contest.media)
        self._warm |= {(task, contest.media) for task in contest.tasks}

    def run(self, contest: Contest) -> Turn:
        """Run the loop of each task; raises WorkDiffers."""
        items, seconds = {}, {}
        for task in contest.tasks:
            torch.set_num_threads(self._threads.get(task, CORES))
            started = time.perf_counter()
            items[task] = self._loops[task].run(contest.media)
            seconds[task] = time.perf_counter() - started
        return Turn(sum(seconds.values()), items, {"each_s": seconds})


class Boxes:
    """`YOLO.predict` on every 30th frame; `label` replaces the checkpoint's."""

    def __init__(self, model: YOLO, label: str | None = None) -> None:
        self._model = model
        self._label = label
        self._expected: dict[Path, tuple[int, list[Item]]] = {}  # number of frames, and their boxes

    def warm_up(self, media: Path) -> None:
        """Detect in the frames that the service uses.

        `vid_stride` takes the last of every 30 frames, the service the first.
        """
        if media in self._expected:
            return
        items: list[Item] = []
        frames = 0
        for index, frame in sampled(media, INTERVAL):
            (result,) = self._model.predict(frame, conf=CONFIDENCE, verbose=False)
            items += box_items(result, index, self._label)
            frames += 1
        self._expected[media] = frames, items

    def run(self, media: Path) -> list[Item]:
        """Return the warm-up's boxes; raises WorkDiffers if the number of frames differs."""
        results = self._model.predict(
            str(media), conf=CONFIDENCE, vid_stride=INTERVAL, batch=16, stream=True, verbose=False
        )
        frames = sum(1 for _ in results)
        expected, items = self._expected[media]
        if frames != expected:
            raise WorkDiffers(f"ultralytics read {frames} frames, not {expected}")
        return items


class Places:
    """Places365's own script, `run_placesCNN_basic.py`, frame by frame."""

    def __init__(self, path: Path) -> None:
        network = models.resnet18(num_classes=365)
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        network.load_state_dict({key.removeprefix("module."): state[key] for key in state})
        self._network = network.eval().to(DEVICE)
        self._labels = place_labels()
        self._transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.Resize((256, 256)),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def warm_up(self, media: Path) -> None:
        """Classify one frame."""
        self.classify(*next(sampled(media, INTERVAL)))

    def run(self, media: Path) -> list[Item]:
        """Classify every 30th frame."""
        return [self.classify(*one) for one in sampled(media, INTERVAL)]

    def classify(self, index: int, frame: Picture) -> Item:
        """The five most likely places of a BGR frame."""
        return self.classify_all([index], [frame])[0]

    @torch.inference_mode()
    def classify_all(self, indices: list[int], frames: list[Picture]) -> list[Item]:
        """The same of several frames, in one batch."""
        pictures = [self._transform(cv2.cvtColor(one, cv2.COLOR_BGR2RGB)) for one in frames]
        odds = self._network(torch.stack(pictures).to(DEVICE)).softmax(1)
        return [
            {"frame_index": index, "predictions": [{"label": self._labels[one]} for one in best]}
            for index, best in zip(indices, odds.topk(5).indices.tolist(), strict=True)
        ]


class Scenes:
    """`scenedetect.detect`."""

    def warm_up(self, media: Path) -> None:
        """Read the first frames."""
        scenedetect.detect(str(media), scenedetect.ContentDetector(), end_time=1.0)

    def run(self, media: Path) -> list[Item]:
        """Return the scenes; a video without a cut is one."""
        found = scenedetect.detect(str(media), scenedetect.ContentDetector(), start_in_scene=True)
        return [scene_item(start.seconds, end.seconds) for start, end in found]


def box_items(result: Any, index: int, label: str | None = None) -> list[Item]:
    """The boxes that ultralytics found in a frame."""
    items = []
    for *corners, _, kind in result.boxes.data.tolist():
        left, top, right, bottom = corners
        box = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        items.append({"frame_index": index, "label": label or result.names[int(kind)], "bbox": box})
    return items


def scene_item(start_s: float, end_s: float) -> Item:
    """A scene."""
    return {"start_ms": start_s * 1000, "end_ms": end_s * 1000}


def place_labels() -> list[str]:
    """The names of the 365 places."""
    lines = (ROOT / "gpu_workers/weights/categories_places365.txt").read_text().splitlines()
    return [line.split(" ")[0][len("/a/") :] for line in lines]


def sampled(media: Path, interval: int) -> Iterator[tuple[int, Picture]]:
    """Every `interval`th frame from the first, as its index and (height, width, 3) BGR."""
    video = cv2.VideoCapture(str(media))
    index = 0
    while video.grab():
        if index % interval == 0:
            yield index, video.retrieve()[1]
        index += 1
    video.release()
