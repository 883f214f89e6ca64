"""A child of the front that works on a request until the test lets it go on.

The request's path is a FIFO; the child notes it in the file `worked-on` beside it, and waits for a
byte in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ipc import child
from ipc.channel import Endpoint
from ipc.messages import FromChild, MediaRange, Probe, Probed, Ready, ToDecoder, VideoInfo


def main(endpoint: Endpoint[Any], config: object) -> None:
    endpoint.open(ToDecoder)
    child.serve(endpoint, answer, Ready(os.getpid(), "cpu"))


def answer(request: Probe) -> FromChild:
    path = Path(request.file.path)
    with path.with_name("worked-on").open("a") as log:
        log.write(f"{path.name}\n")
    os.read(os.open(path, os.O_RDWR), 1)  # which waits for no writer, but for a byte
    nothing = MediaRange(0, 0, 0.0, 0.0, None, None)
    return Probed(request.id, VideoInfo(1, 1, 1.0, 1, 1), nothing)
