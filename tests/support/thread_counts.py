"""A worker whose `objects` task returns, as labels, how many threads its libraries use."""

from __future__ import annotations

from typing import Any

import fake_tasks
import msgspec
import numpy as np
from fake_tasks import Fake, Spec

from gpu_workers import worker
from ipc.channel import Endpoint
from ipc.config import WorkerConfig
from ipc.results import Detection
from ipc.subjects import Frames

__all__ = ["Spec", "load", "main"]


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    tasks = {**config.tasks, "objects": "thread_counts"}
    worker.main(endpoint, msgspec.structs.replace(config, tasks=tasks))


def load(spec: Spec, runtime: object) -> Counts:
    fake_tasks.load(spec, runtime)
    return Counts(spec.model_name)


class Counts(Fake):
    def postprocess(
        self, spec: Spec, subject: Frames, outputs: list[np.ndarray]
    ) -> list[Detection]:
        import cv2
        import torch

        counts = (
            cv2.getNumThreads(),
            torch.get_num_threads(),
            torch.get_num_interop_threads(),
        )
        found = super().postprocess(spec, subject, outputs)
        return [msgspec.structs.replace(item, label=str(counts)) for item in found]
