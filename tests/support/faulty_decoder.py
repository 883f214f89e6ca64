"""A decoder that fails as the video's file name says.

Its start waits at the gate `<child>-start`. With `raise.mp4` it raises, with `die.mp4` it kills
itself, with `freeze-once.mp4` it stops itself the first time: all after the first frame that it
wrote.
"""

from __future__ import annotations

import os
import signal
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from fake_tasks import FOLDER, first_time
from gates import pass_gate
from held_tasks import SECRET

from ipc.channel import Endpoint
from ipc.config import DecoderConfig
from ipc.messages import FrameRef, Target
from server.decoding import decoder_process
from server.decoding.open_file import OpenFile
from server.decoding.upright_rgb import Picture


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
        if name == "freeze-once.mp4" and first_time("frozen"):
            os.kill(os.getpid(), signal.SIGSTOP)
        return written
