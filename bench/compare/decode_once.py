"""What an engineer writes in an afternoon: one decode in a thread feeds all four models."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import scenedetect
import torch
from ultralytics import YOLO

from bench.compare.library_loops import (
    CONFIDENCE,
    CORES,
    INTERVAL,
    Picture,
    Places,
    box_items,
    scene_item,
)
from bench.compare.rounds import Contest, Item, Turn

BATCH = 8
SMALL = (256, 144)
AHEAD = 64  # frames
STALL_S = 120.0


@dataclass(frozen=True)
class Decoded:
    """A frame: BGR at 256 × 144, and every 30th also at full size."""

    index: int
    moment: scenedetect.FrameTimecode
    small: Picture
    large: Picture | None


class DecodeOnce:
    """PySceneDetect gets every frame at 256 × 144; batches of 8 go to two YOLOs and ResNet-18."""

    def __init__(self, objects: YOLO, faces: YOLO, places: Places) -> None:
        self._objects, self._faces, self._places = objects, faces, places

    def warm_up(self, contest: Contest) -> None:
        """Use the networks once."""
        black: list[Picture] = [np.zeros((1080, 1920, 3), np.uint8)] * BATCH
        for model in (self._objects, self._faces):
            model.predict(black, conf=CONFIDENCE, verbose=False)
        self._places.classify_all(list(range(BATCH)), black)

    def run(self, contest: Contest) -> Turn:
        """Analyse the video."""
        torch.set_num_threads(CORES)
        started = time.perf_counter()
        items: dict[str, list[Item]] = {task: [] for task in ("objects", "faces", "places")}
        detector, cuts = scenedetect.ContentDetector(), [0.0]
        batch: list[tuple[int, Picture]] = []
        for one in _read_ahead(contest.media):
            cuts += [cut.seconds for cut in detector.process_frame(one.moment, one.small)]
            if one.large is not None:
                batch.append((one.index, one.large))
            if len(batch) == BATCH:
                self._infer(batch, items)
                batch = []
        if batch:
            self._infer(batch, items)
        cuts += [cut.seconds for cut in detector.post_process(one.moment)]
        end_s = (one.moment + 1).seconds
        items["scenes"] = list(map(scene_item, cuts, [*cuts[1:], end_s]))
        return Turn(time.perf_counter() - started, items)

    def _infer(self, batch: list[tuple[int, Picture]], items: dict[str, list[Item]]) -> None:
        indices, frames = [index for index, _ in batch], [frame for _, frame in batch]
        for task, model, label in (
            ("objects", self._objects, None),
            ("faces", self._faces, "face"),
        ):
            results = model.predict(frames, conf=CONFIDENCE, verbose=False)
            for index, result in zip(indices, results, strict=True):
                items[task] += box_items(result, index, label)
        items["places"] += self._places.classify_all(indices, frames)


def _read_ahead(path: Path) -> Iterator[Decoded]:
    """Decode in a thread."""
    frames: queue.Queue[Decoded | None] = queue.Queue(AHEAD)

    def decode() -> None:
        for one in _decode(path):
            frames.put(one, timeout=STALL_S)
        frames.put(None, timeout=STALL_S)

    thread = threading.Thread(target=decode, daemon=True)
    thread.start()
    while (one := frames.get(timeout=STALL_S)) is not None:
        yield one
    thread.join()


def _decode(path: Path) -> Iterator[Decoded]:
    with av.open(str(path)) as clip:
        stream = clip.streams.best("video")
        stream.thread_type = "AUTO"
        for index, frame in enumerate(clip.decode(stream)):
            small = frame.reformat(*SMALL, format="bgr24").to_ndarray()
            large = frame.to_ndarray(format="bgr24") if index % INTERVAL == 0 else None
            moment = scenedetect.FrameTimecode(index, stream.average_rate)
            yield Decoded(index, moment, small, large)
