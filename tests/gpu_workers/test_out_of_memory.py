"""A batch that does not fit the device's memory is halved without a loss."""

from __future__ import annotations

import pytest

from gpu_workers.out_of_memory import _halves
from ipc.messages import FrameRef, Frames


@pytest.mark.parametrize("context", [0, 1])
def test_a_batch_in_halves_keeps_its_frames_and_their_context(context: int) -> None:
    refs = tuple(FrameRef(0, 1, 1, index, 0.0) for index in range(9))
    halves = _halves(Frames(refs, context))
    own = [ref for half in halves for ref in half.refs[half.context :]]
    assert own == list(refs[context:])
    assert [half.context for half in halves] == [context, context]
