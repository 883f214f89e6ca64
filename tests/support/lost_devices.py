"""Workers on CUDA devices that are not there: real ones, which fail when they open their device.

The first worker on `cuda:1` starts nevertheless. So that device is lost when its worker is killed.
`objects` is the task of `fake_tasks`.
"""

from __future__ import annotations

from typing import Any

import fake_tasks
import msgspec
from fake_tasks import first_time

from gpu_workers import worker
from ipc.channel import Endpoint
from ipc.config import WorkerConfig


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    if config.device == "cuda:1" and first_time("started"):
        config = msgspec.structs.replace(config, device="cpu")
    if config.device == "cpu":
        fake_tasks.main(endpoint, config)
    else:
        worker.main(endpoint, config)
