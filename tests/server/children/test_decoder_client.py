"""What the front asks of a decoder, and how much time it gives it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ipc.files import FileRef
from ipc.messages import Decoded, Target
from server.children.decoder_client import DecoderClient
from server.metrics import Metrics

FILE = FileRef("/nowhere", 1, 1, 1_000_000, 1)


class Line:
    """In the place of the waiting line: notes the deadlines, and answers at once."""

    def __init__(self) -> None:
        self.deadlines_s: list[float] = []

    async def send(self, choose: Any, message: Any, deadline_s: float, lease: Any) -> Any:
        self.deadlines_s.append(deadline_s)
        reply: asyncio.Future[Decoded] = asyncio.get_running_loop().create_future()
        reply.set_result(Decoded(message.id, (), "pyav", 0.0))
        return SimpleNamespace(spec=SimpleNamespace(name="decoder-0")), reply


@pytest.mark.xfail(
    strict=True,
    reason="decode_s counts the wanted frames only, not those that must be decoded before them: "
    "with one keyframe in the file, a late start_ms can end in undecodable_video",
)
def test_the_frames_since_the_last_keyframe_count() -> None:
    """The file has 100 000 frames, and its only keyframe is the first one."""
    line = Line()
    client = DecoderClient([], line, Metrics())  # type: ignore[arg-type]
    for frame_index in (0, 99_999):
        target = Target(frame_index, 0, 180, 320)
        asyncio.run(client.decode(FILE, [target], None))  # type: ignore[arg-type]
    first, late = line.deadlines_s
    assert late > first
