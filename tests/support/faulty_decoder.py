"""A decoder that fails as the video's file name says.

Its start waits at the gate `<child>-start`. After the first frame that it wrote, with `raise.mp4`
it raises, with `die.mp4` it kills itself, with `freeze.mp4` it stops itself as long as there is a
file `freeze`, with `greedy.mp4` it allocates memory without end, and with `escape.mp4` it tries
what its sandbox forbids.
"""

from __future__ import annotations

import os
import signal
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import numpy as np
from escapes import attempts
from fake_tasks import FOLDER
from gates import pass_gate
from held_tasks import SECRET

from ipc.channel import Endpoint
from ipc.child import TaskError
from ipc.config import DecoderConfig
from ipc.messages import Target
from ipc.subjects import FrameRef
from server.decoding import decoder_process
from server.decoding.open_file import OpenFile
from server.decoding.upright_rgb import Picture

MOST_GB = 100


def main(endpoint: Endpoint[Any], config: DecoderConfig) -> None:
    pass_gate(FOLDER / f"{current_process().name}-start")
    decoder_process.Decoder = FaultyDecoder  # type: ignore[misc]
    decoder_process.main(endpoint, config)


class FaultyDecoder(decoder_process.Decoder):
    def _write(self, picture: Picture, target: Target, file: OpenFile) -> FrameRef:
        written = super()._write(picture, target, file)
        name = Path(os.readlink(file.path)).name
        if name == "raise.mp4":
            raise LookupError(SECRET)
        if name == "die.mp4":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "freeze.mp4" and (FOLDER / "freeze").exists():
            os.kill(os.getpid(), signal.SIGSTOP)
        if name == "greedy.mp4":
            self.hoard = [np.empty(1 << 30, np.uint8) for _ in range(MOST_GB)]
        if name == "escape.mp4":
            raise TaskError("undecodable_video", repr(attempts(FOLDER, os.getppid())))
        return written
