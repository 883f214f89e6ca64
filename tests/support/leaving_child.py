"""The child of `blocking_child`, which leaves after it has worked on a file named `last`."""

from __future__ import annotations

import os
from typing import Any

import blocking_child

from ipc import child
from ipc.channel import Endpoint
from ipc.messages import FromChild, Leaving, Probe, Ready, ToDecoder


def main(endpoint: Endpoint[Any], config: object) -> None:
    worked_on = [""]

    def answer(request: Probe) -> FromChild:
        worked_on.append(os.path.basename(request.file.path))
        return blocking_child.answer(request)

    def leaving() -> Leaving | None:
        return Leaving("it is the last one") if worked_on[-1] == "last" else None

    endpoint.open(ToDecoder)
    child.serve(endpoint, answer, Ready(os.getpid(), "cpu"), leaving=leaving)
