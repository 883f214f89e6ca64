"""A worker whose `objects` task does not analyse frames, but does what its model's name says.

It replaces a real model if a test needs a fault or a known processing time: `slow-<ms>.pt` waits
this long per frame, `dump.pt` saves its frames, `die.pt` kills its process, `die-once.pt` does so
the first time, `stop-once.pt` freezes it, `oom-<n>.pt` has memory for n frames,
`long-<n>.pt` gives labels of n characters. Only `oom` imports torch, so the server starts quickly.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gpu_workers import worker
from ipc.arena import ArenaView
from ipc.channel import Endpoint
from ipc.config import WorkerConfig
from ipc.messages import ModelInfo
from ipc.results import BBox, Detection
from ipc.subjects import Frames

FOLDER = Path(os.environ.get("EIOKU_TEST_FOLDER", "/nowhere"))


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    tasks = {**config.tasks, "objects": "fake_tasks"}
    worker.main(endpoint, msgspec.structs.replace(config, warm=False, tasks=tasks))


class Spec(msgspec.Struct, frozen=True):
    """The name says what to do."""

    model_name: str


def load(spec: Spec, runtime: object) -> Fake:
    if spec.model_name.startswith("oom"):
        importlib.import_module("torch")
    return Fake(spec.model_name.removesuffix(".pt"))


def first_time(name: str) -> bool:
    """Whether this is the first call with this name in any process."""
    try:
        (FOLDER / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Fake:
    def __init__(self, name: str) -> None:
        self.info = ModelInfo(name, None, False, "cpu", "fp32", {})
        self._does, _, number = name.partition("-")
        self._name = name
        self._number = int(number) if number.isdigit() else 0

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> list[np.ndarray]:
        return [arena.frame(ref) for ref in subject.refs]

    def infer(self, spec: Spec, inputs: list[np.ndarray]) -> list[np.ndarray]:
        if self._does == "slow":
            threading.Event().wait(self._number / 1000 * len(inputs))
        elif self._name == "die" or (self._name == "die-once" and first_time("died")):
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._name == "stop-once" and first_time("stopped"):
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._does == "oom" and len(inputs) > self._number:
            import torch

            raise torch.OutOfMemoryError("no memory for so many frames (a test says so)")
        return inputs

    def postprocess(
        self, spec: Spec, subject: Frames, outputs: list[np.ndarray]
    ) -> list[Detection]:
        if self._does == "dump":
            for ref, pixels in zip(subject.refs, outputs, strict=True):
                np.save(FOLDER / f"{ref.frame_index}.npy", pixels)
        return [
            Detection(
                ref.frame_index,
                round(ref.timestamp_ms),
                "x" * self._number if self._does == "long" else "frame",
                round(float(pixels.mean()) / 255, 4),
                BBox(0.0, 0.0, float(ref.width), float(ref.height)),
            )
            for ref, pixels in zip(subject.refs, outputs, strict=True)
        ]
