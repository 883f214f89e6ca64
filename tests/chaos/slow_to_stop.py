"""`python -m slow_to_stop`: the service, with places at which a test can hold it.

As with `held_server`, gates are FIFOs in EIOKU_TEST_FOLDER. In addition, models wait at the gate
`load`, and a file's hash waits for ever if a file `no-hash` is in this folder. CHAOS_GRACE_S
replaces the time that in-flight requests get after SIGTERM. CHAOS_FACES_URL makes the workers real,
and is where they download the model of faces.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import held_tasks
import msgspec
from fake_tasks import FOLDER
from gates import pass_gate

from gpu_workers import worker
from gpu_workers.weights import catalogue
from ipc.channel import Endpoint
from ipc.config import WorkerConfig

FACES = "yolov8n-face.pt"


def held(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    """A worker whose models wait at a gate when they are loaded."""
    load = held_tasks.load

    def gated(spec: held_tasks.Spec, runtime: object) -> held_tasks.Held:
        pass_gate(FOLDER / "load")
        return load(spec, runtime)

    held_tasks.load = gated
    held_tasks.main(endpoint, config)


def downloading(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    """A real worker that downloads from the test."""
    entry = catalogue.CATALOGUE[FACES]
    catalogue.CATALOGUE[FACES] = msgspec.structs.replace(entry, url=os.environ["CHAOS_FACES_URL"])
    worker.main(endpoint, config)


if __name__ == "__main__":
    from server import __main__ as front
    from server.analysis import hashes
    from server.children import child_specs

    child_specs.DECODER = "faulty_decoder:main"
    front.GRACE_S = int(os.environ.get("CHAOS_GRACE_S", front.GRACE_S))
    if (FOLDER / "no-hash").exists():
        hashes._hash_unchanged = lambda fd, file: threading.Event().wait()  # type: ignore[assignment]
    front.main("slow_to_stop:" + ("downloading" if "CHAOS_FACES_URL" in os.environ else "held"))
