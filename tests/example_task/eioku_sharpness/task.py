"""The task on the front's side: the HTTP server imports it, so it imports no cv2 and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from eioku_sharpness.results import FrameQuality
from server.formats.exports import tabular
from server.tasks.response import Response
from server.tasks.task import FrameInput, Interval, Options, RunsOn, Task


class SharpnessOptions(Options, frozen=True):
    """`border` pixels at each edge of a frame are ignored: subtitles and logos are sharp too."""

    frame_interval: Interval = 30
    border: Annotated[int, Meta(ge=0, le=4096)] = 0


class SharpnessResponse(Response, frozen=True, kw_only=True):
    """The quality of each sampled frame, and the index of the sharpest one."""

    frames: list[FrameQuality]
    sharpest_frame_index: int | None


class State(msgspec.Struct):
    """What the chunks gave so far."""

    frames: list[FrameQuality] = []
    sharpest: FrameQuality | None = None


class SharpnessTask(Task[SharpnessOptions, State]):
    """POST /infer/sharpness."""

    name = "sharpness"
    options = SharpnessOptions
    response = SharpnessResponse
    result = list[FrameQuality]
    producer = "opencv"
    package = "opencv-python-headless"
    worker = "eioku_sharpness.worker"
    exports = (tabular(FrameQuality, "frames"),)

    def needs(self, options: SharpnessOptions) -> FrameInput:
        """Sampled frames at full size, eight at a time."""
        return FrameInput(options.frame_interval, chunk_frames=8)

    def runs_on(self, options: SharpnessOptions) -> RunsOn:
        """There is no network to run."""
        return RunsOn.CPU_WORKER

    def start(self) -> State:
        """No frames."""
        return State()

    def add(self, state: State, result: list[FrameQuality]) -> Sequence[FrameQuality]:
        """Append the frames of the next chunk, and keep the sharpest of all."""
        state.frames += result
        state.sharpest = max(
            [frame for frame in (state.sharpest, *result) if frame is not None],
            key=lambda frame: frame.sharpness,
            default=None,
        )
        return result

    def fields(self, options: SharpnessOptions, state: State) -> dict[str, Any]:
        """The frames, and which is the sharpest."""
        sharpest = None if state.sharpest is None else state.sharpest.frame_index
        return {"frames": state.frames, "sharpest_frame_index": sharpest}
