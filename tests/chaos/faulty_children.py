"""`python -m faulty_children`: the real service, whose children fail where a test says so.

A file `<child>-<point>` in EIOKU_TEST_FOLDER, where the point is load, batch or reply, has the id
of the process that ends at this point: a decoder could not delete the file. CHAOS_PLANT is a fault
of the front: with `no_retry`, no batch is sent again after a worker's death. The child that
CHAOS_BROKEN names ends at every start. With CHAOS_QUICK, `objects` is the task of `fake_tasks`,
and workers start without torch.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from multiprocessing import current_process
from multiprocessing.connection import Connection
from typing import Any

import fake_tasks
from fake_tasks import FOLDER

from ipc.channel import Endpoint
from ipc.config import DecoderConfig, WorkerConfig

POINTS = ("load", "batch", "reply")
EXIT_CODE = 7


def at(point: str) -> bool:
    """Whether this child is to end here."""
    try:
        victim = (FOLDER / f"{current_process().name}-{point}").read_text()
    except FileNotFoundError:
        return False
    return victim == str(os.getpid())


def ends_before(point: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The work, which never begins if the child is to end here."""

    def working(*args: Any) -> Any:
        if at(point):
            os._exit(EXIT_CODE)
        return work(*args)

    return working


class HalfReplies:
    """Writes messages to the front, but only half of the last one."""

    def __init__(self, replies: Connection) -> None:
        self._replies = replies

    def send_bytes(self, encoded: bytes) -> None:
        if b"Heartbeat" not in encoded and b"Ready" not in encoded and at("reply"):
            framed = struct.pack("!i", len(encoded)) + encoded  # as a Connection sends it
            os.write(self._replies.fileno(), framed[: len(framed) // 2])
            os._exit(EXIT_CODE)
        self._replies.send_bytes(encoded)


def begin(endpoint: Any) -> None:
    """What all children begin with."""
    if os.environ.get("CHAOS_BROKEN") == current_process().name:
        os._exit(EXIT_CODE)
    endpoint._replies = HalfReplies(endpoint._replies)


def decoder(endpoint: Endpoint[Any], config: DecoderConfig) -> None:
    """A decoder; its load is the index of a file."""
    from server.decoding import decoder_process

    begin(endpoint)
    decoder_process.OpenFile = ends_before("load", decoder_process.OpenFile)  # type: ignore[misc, assignment]
    decode = ends_before("batch", decoder_process.Decoder._decode)
    decoder_process.Decoder._decode = decode  # type: ignore[method-assign]
    decoder_process.main(endpoint, config)


def worker(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    """A worker of either kind."""
    from gpu_workers import resident_models
    from gpu_workers import worker as real

    begin(endpoint)
    load = ends_before("load", resident_models.ResidentModels._load)
    resident_models.ResidentModels._load = load  # type: ignore[method-assign]
    real.apply = ends_before("batch", real.apply)
    (fake_tasks if "CHAOS_QUICK" in os.environ else real).main(endpoint, config)


if __name__ == "__main__":
    from server.__main__ import main
    from server.children import child_specs, dispatcher

    child_specs.DECODER = "faulty_children:decoder"
    if os.environ.get("CHAOS_PLANT") == "no_retry":
        dispatcher.ATTEMPTS = 1
    main("faulty_children:worker")
