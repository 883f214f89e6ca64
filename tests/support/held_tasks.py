"""The worker of `fake_tasks`, with more that a test can have it do.

Its start waits at the gate `<child>-start`, and the loading of a model at `load`. Its model
`hold.pt` waits at the gate `hold` for each batch, and `raise.pt` raises. The label of a detection
is the name of the child that found it.
"""

from __future__ import annotations

import logging
from multiprocessing import current_process
from typing import Any

import fake_tasks
import msgspec
import numpy as np
from fake_tasks import FOLDER, Fake, Spec
from gates import pass_gate

from gpu_workers import worker
from ipc.channel import Endpoint
from ipc.config import WorkerConfig
from ipc.results import Detection
from ipc.subjects import Frames

log = logging.getLogger(__name__)

SECRET = "a secret of /the/machine"


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    pass_gate(FOLDER / f"{current_process().name}-start")
    tasks = {**config.tasks, "objects": "held_tasks"}
    worker.main(endpoint, msgspec.structs.replace(config, warm=False, tasks=tasks))


def load(spec: Spec, runtime: object) -> Held:
    log.info("model loads", extra={"model": spec.model_name})
    pass_gate(FOLDER / "load")
    fake_tasks.load(spec, runtime)
    return Held(spec.model_name.removesuffix(".pt"))


class Held(Fake):
    def infer(self, spec: Spec, inputs: list[np.ndarray]) -> list[np.ndarray]:
        if spec.model_name == "hold.pt":
            pass_gate(FOLDER / "hold")
        elif spec.model_name == "raise.pt":
            raise LookupError(SECRET)
        return super().infer(spec, inputs)

    def postprocess(
        self, spec: Spec, subject: Frames, outputs: list[np.ndarray]
    ) -> list[Detection]:
        found = super().postprocess(spec, subject, outputs)
        return [msgspec.structs.replace(item, label=current_process().name) for item in found]
