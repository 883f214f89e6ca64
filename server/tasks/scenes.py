"""Scenes: PySceneDetect's ContentDetector.

The workers compare consecutive frames chunk by chunk. The minimum scene length needs all changes
in order, so a last message applies PySceneDetect's own filter to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ipc.messages import MediaRange, VideoInfo
from ipc.results import Changes, Scene, Scenes, Timeline
from server.formats import edl, ffmetadata, otio
from server.formats.exports import tabular
from server.formats.format import Export
from server.tasks.response import Response
from server.tasks.task import Fraction, FrameInput, Options, RunsOn, Task

CHUNK_FRAMES = 128
LONGEST_SIDE = 256  # as in PySceneDetect's SceneManager


class ScenesOptions(Options, frozen=True):
    """`threshold` 0.4 is ContentDetector's 27; `min_scene_length` is in seconds."""

    threshold: Fraction = 0.4
    min_scene_length: Annotated[float, Meta(ge=0, le=86_400)] = 0.6


class ScenesResponse(Response, frozen=True, kw_only=True):
    """Scenes that cover the analysed range."""

    scenes: list[Scene]


class State(msgspec.Struct):
    """Presentation times in ms of all frames and of the changes; at the end the scenes."""

    frames_ms: list[float] = []
    changes_ms: list[float] = []
    scenes: list[Scene] = []


class SceneTask(Task[ScenesOptions, State]):
    """POST /infer/scenes."""

    name = "scenes"
    options = ScenesOptions
    response = ScenesResponse
    result = Changes | Scenes
    producer = "scenedetect"
    package = "scenedetect"
    worker = "gpu_workers.tasks.scenes"
    exports = (
        tabular(Scene, "scenes"),
        *(Export(form, lambda _, response: response.scenes) for form in (ffmetadata, edl, otio)),
    )

    def needs(self, options: ScenesOptions) -> FrameInput:
        """Every frame, scaled down, with the previous one for comparison."""
        return FrameInput(1, CHUNK_FRAMES, context=1, longest_side=LONGEST_SIDE)

    def runs_on(self, options: ScenesOptions) -> RunsOn:
        """The CPU worker: there is no network to run."""
        return RunsOn.CPU_WORKER

    def start(self) -> State:
        """No frames."""
        return State()

    def add(self, state: State, result: Changes | Scenes) -> Sequence[Scene]:
        """Append the times of a chunk, or take the scenes of the last message."""
        if isinstance(result, Scenes):
            state.scenes = result.items
            return result.items
        state.frames_ms += result.frames_ms
        state.changes_ms += result.changes_ms
        return []

    def finish(self, state: State, video: VideoInfo, span: MediaRange) -> Timeline:
        """All changes, from which a worker computes the scenes."""
        return Timeline(state.frames_ms, state.changes_ms, span.start_ms, span.end_ms, video.fps)

    def fields(self, options: ScenesOptions, state: State) -> dict[str, Any]:
        """The scenes."""
        return {"scenes": state.scenes}
