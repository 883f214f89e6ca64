"""`python -m model_faults`: the service whose models are as large, or as faulty, as a test says.

The task `objects` has the models of `fake_tasks`, and `large-<n>-<any>.pt`, which holds n MB. A
file beside the model says how it fails: with `<model>.full` there is no memory to load it, with
`<model>.fails` the device fails while it is loaded, with `<model>.fails-at-work` while it runs; the
device fails once. Each load is a line in the file `loads`.
"""

from __future__ import annotations

from typing import Any

import fake_tasks
import msgspec
import numpy as np
from fake_tasks import FOLDER, Fake, Spec

from gpu_workers import worker
from ipc.channel import Endpoint
from ipc.config import WorkerConfig

MB = 1 << 20


class OutOfMemoryError(RuntimeError):
    """Torch's error, without torch."""


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    tasks = {**config.tasks, "objects": "model_faults"}
    worker.main(endpoint, msgspec.structs.replace(config, warm=False, tasks=tasks))


def load(spec: Spec, runtime: object) -> Sized:
    with (FOLDER / "loads").open("a") as log:
        log.write(f"{spec.model_name}\n")
    if (FOLDER / f"{spec.model_name}.full").exists():
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    if marked(f"{spec.model_name}.fails"):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    fake_tasks.load(spec, runtime)
    return Sized(spec.model_name.removesuffix(".pt"))


def marked(name: str) -> bool:
    """Whether the file is there; it is no more after this."""
    try:
        (FOLDER / name).unlink()
    except FileNotFoundError:
        return False
    return True


class Sized(Fake):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        does, *numbers = name.split("-")
        self.weights = np.ones(int(numbers[0]) * MB if does == "large" else 0, np.uint8)

    def infer(self, spec: Spec, inputs: list[np.ndarray]) -> list[np.ndarray]:
        if marked(f"{spec.model_name}.fails-at-work"):
            raise RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `gemm`")
        return super().infer(spec, inputs)


if __name__ == "__main__":
    from server.__main__ import main as serve  # not in the workers, which import this module too

    serve("model_faults:main")
