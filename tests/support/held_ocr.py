"""A worker whose `ocr` creates the file `reading`, then waits at the gate `hold`, for each batch.

No worker opens a device, whatever its device is called.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fake_tasks import FOLDER
from gates import pass_gate

from gpu_workers import worker
from ipc.arena import ArenaView
from ipc.channel import Endpoint
from ipc.config import WorkerConfig
from ipc.messages import ModelInfo
from ipc.results import TextDetection
from ipc.subjects import Frames


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    tasks = {**config.tasks, "ocr": "held_ocr"}
    worker.main(endpoint, msgspec.structs.replace(config, device="cpu", warm=False, tasks=tasks))


class Spec(msgspec.Struct, frozen=True):
    """Is of no account."""


def load(spec: Spec, runtime: object) -> Held:
    return Held()


class Held:
    """Finds nothing."""

    info = ModelInfo("held", None, False, "cpu", "fp32", {})

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> None:
        (FOLDER / "reading").touch()

    def infer(self, spec: Spec, inputs: None) -> None:
        pass_gate(FOLDER / "hold")

    def postprocess(self, spec: Spec, subject: Frames, outputs: None) -> list[TextDetection]:
        return []
