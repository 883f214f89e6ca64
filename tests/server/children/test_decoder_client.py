"""What the front asks of a decoder, and how much time it gives it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ipc.files import FileRef
from ipc.messages import Decoded, Target
from server.children.decoder_client import DecoderClient
from server.children.flights import ChildDied
from server.decoding.media_index import longest_lead_in
from server.errors import Problem
from server.metrics import Metrics

FILE = FileRef("/nowhere", 1, 1, 1_000_000, 1)


class Line:
    """In the place of the waiting line: notes the deadlines, and answers at once.

    The first answers are `deaths` of the decoder.
    """

    def __init__(self, *deaths: ChildDied) -> None:
        self.deadlines_s: list[float] = []
        self._deaths = list(deaths)

    async def send(self, choose: Any, message: Any, deadline_s: float, lease: Any) -> Any:
        self.deadlines_s.append(deadline_s)
        reply: asyncio.Future[Decoded] = asyncio.get_running_loop().create_future()
        if self._deaths:
            reply.set_exception(self._deaths.pop(0))
        else:
            reply.set_result(Decoded(message.id, (), "pyav", 0.0))
        return SimpleNamespace(spec=SimpleNamespace(name="decoder-0")), reply


def test_the_frames_since_the_last_keyframe_count() -> None:
    """With one keyframe in a long file, a late start_ms would else end in undecodable_video."""
    line = Line()
    client = DecoderClient([], line, Metrics())  # type: ignore[arg-type]
    target = Target(99_999, 0, 180, 320)
    for lead_in in (30, 100_000):
        asyncio.run(client.decode(FILE, [target], lead_in, None))  # type: ignore[arg-type]
    often, once = line.deadlines_s
    assert once - often == pytest.approx(0.25 * (100_000 - 30))


DIED = ChildDied("decoder-0", running=True, overdue=False)
OVERDUE = ChildDied("decoder-0", running=True, overdue=True)


@pytest.mark.parametrize(
    ("deaths", "sent", "refused"),
    [([DIED], 2, False), ([DIED, DIED], 2, True), ([OVERDUE], 1, True)],
    ids=["died", "died twice", "missed its deadline"],
)
def test_a_decode_whose_decoder_died_is_tried_once_more(
    deaths: list[ChildDied], sent: int, refused: bool
) -> None:
    line = Line(*deaths)
    client = DecoderClient([], line, Metrics())  # type: ignore[arg-type]
    expected = pytest.raises(Problem, match="probably damaged") if refused else nullcontext()
    with expected:
        asyncio.run(client.decode(FILE, [Target(0, 0, 180, 320)], 1, None))  # type: ignore[arg-type]
    assert len(line.deadlines_s) == sent


@pytest.mark.parametrize(
    ("keyframes", "frames", "lead_in"),
    [([0, 30, 90], 100, 60), ([0], 100, 100), ([], 100, 100), ([0, 10], 200, 190), ([50], 60, 50)],
)
def test_the_longest_lead_in_is_from_one_keyframe_to_the_next(
    keyframes: list[int], frames: int, lead_in: int
) -> None:
    index = SimpleNamespace(keyframes=np.array(keyframes, int), pts=np.arange(frames))
    assert longest_lead_in(index) == lead_in  # type: ignore[arg-type]
