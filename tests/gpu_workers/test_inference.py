"""A batch that does not fit the memory is halved without a loss; then other models go."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_workers.inference import _halves, apply
from ipc.messages import ModelInfo
from ipc.subjects import FrameRef, Frames

CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
NO_MEMORY = [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(CUBLAS), MemoryError()]


def batch(count: int, context: int = 0) -> Frames:
    return Frames(tuple(FrameRef(0, 1, 1, index, 0.0) for index in range(count)), context)


class Limited:
    """A model with memory for so many frames; it returns their indices."""

    def __init__(self, frames: int, error: Exception) -> None:
        self.info = ModelInfo("limited", None, False, "cpu", "fp32", {})
        self.frames = frames
        self._error = error

    def preprocess(self, spec: Any, subject: Frames, arena: Any) -> list[int]:
        return [ref.frame_index for ref in subject.refs]

    def infer(self, spec: Any, inputs: list[int]) -> list[int]:
        if len(inputs) > self.frames:
            raise self._error
        return inputs

    def postprocess(self, spec: Any, subject: Frames, outputs: list[int]) -> list[int]:
        return outputs


def use(model: Limited, frames: int, evict_others: Any) -> list[list[int]]:
    return apply(model, None, batch(frames), None, evict_others)  # type: ignore[arg-type]


def unexpected() -> None:
    raise AssertionError("models are evicted before the batch is down to one frame")


@pytest.mark.parametrize("context", [0, 1])
def test_a_batch_in_halves_keeps_its_frames_and_their_context(context: int) -> None:
    whole = batch(9, context)
    halves = _halves(whole)
    own = [ref for half in halves for ref in half.refs[half.context :]]
    assert own == list(whole.refs[context:])
    assert [half.context for half in halves] == [context, context]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_a_batch_that_does_not_fit_is_halved(error: Exception) -> None:
    assert use(Limited(2, error), 5, unexpected) == [[0, 1], [2], [3, 4]]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_other_models_make_room_for_a_single_frame(error: Exception) -> None:
    model = Limited(0, error)

    def evict_others() -> None:
        model.frames = 1

    assert use(model, 2, evict_others) == [[0], [1]]


def test_a_frame_that_does_not_fit_at_all_ends_the_process() -> None:
    evictions: list[None] = []
    with pytest.raises(SystemExit):
        use(Limited(0, NO_MEMORY[0]), 1, lambda: evictions.append(None))
    assert len(evictions) == 1


def test_other_errors_are_not_retried() -> None:
    with pytest.raises(KeyError):
        use(Limited(0, KeyError()), 2, unexpected)
