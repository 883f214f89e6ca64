"""Scenes: PySceneDetect's ContentDetector on chunks, then its filter on the times of all frames.

A score needs two frames, so it is computed in chunks. The minimum scene length needs all changes
in order, so the scenes are computed at the end, from the timeline of all changes.
"""

from __future__ import annotations

from fractions import Fraction

import cv2
import msgspec
from scenedetect import ContentDetector, FrameTimecode
from scenedetect.common import Timecode
from scenedetect.detector import FlashFilter

from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from ipc.arena import ArenaView, Pixels
from ipc.messages import ModelInfo
from ipc.results import Changes, Scene, Scenes, Timeline
from ipc.subjects import Frames, Gathered

# A threshold of 0.4 is ContentDetector's default of 27.
SCORE_PER_THRESHOLD = 67.5

_MICROSECOND = Fraction(1, 1_000_000)  # PySceneDetect rounds times to this unit


class Spec(msgspec.Struct, frozen=True):
    """`threshold` from 0 to 1, `min_scene_length` in seconds."""

    threshold: float
    min_scene_length: float


def load(spec: Spec, runtime: Runtime) -> SceneDetector:
    """Create the detector, which has no weights."""
    return SceneDetector(model_info("ContentDetector", None, runtime, "scenedetect", "opencv"))


class SceneDetector:
    """Computes `Changes` from `Frames`, and `Scenes` from the `Timeline` of all changes.

    Frames must have the size that PySceneDetect uses: a longer side of 256 pixels, scaled with
    cv2.INTER_LINEAR.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def preprocess(
        self, spec: Spec, subject: Frames | Gathered, arena: ArenaView
    ) -> list[tuple[float, Pixels]] | Timeline:
        """Convert frames to BGR, each with its time in ms; decode a timeline."""
        if isinstance(subject, Gathered):
            return msgspec.msgpack.decode(subject.data, type=Timeline)
        return [
            (ref.timestamp_ms, cv2.cvtColor(arena.frame(ref), cv2.COLOR_RGB2BGR))
            for ref in subject.refs
        ]

    def infer(
        self, spec: Spec, inputs: list[tuple[float, Pixels]] | Timeline
    ) -> list[float] | Scenes:
        """Return the times in ms of the changes, or the scenes of a timeline."""
        if isinstance(inputs, Timeline):
            return _scenes(inputs, _cuts(spec, inputs))
        return _changes(spec, inputs)

    def postprocess(
        self, spec: Spec, subject: Frames | Gathered, outputs: list[float] | Scenes
    ) -> Changes | Scenes:
        """Remove the context frames from a chunk's times and changes; return scenes unchanged."""
        if isinstance(outputs, Scenes):
            return outputs
        assert isinstance(subject, Frames)
        own_ms = [ref.timestamp_ms for ref in subject.refs[subject.context :]]
        return Changes(own_ms, [time_ms for time_ms in outputs if time_ms in own_ms])


def _changes(spec: Spec, frames: list[tuple[float, Pixels]]) -> list[float]:
    """Times of the frames whose score against the previous frame reaches the threshold."""
    # Without a minimum length the detector reports exactly these frames.
    detector = ContentDetector(threshold=spec.threshold * SCORE_PER_THRESHOLD, min_scene_len=0)
    return [ms for ms, frame in frames if detector.process_frame(_timecode(ms, 1.0), frame)]


def _cuts(spec: Spec, timeline: Timeline) -> list[float]:
    """Times of the cuts: the changes after ContentDetector's own filter."""
    flashes = FlashFilter(FlashFilter.Mode.MERGE, length=float(spec.min_scene_length))
    changes = set(timeline.changes_ms)
    times = {}
    cuts = []
    for ms in timeline.frames_ms:
        timecode = _timecode(ms, timeline.fps)
        times[timecode.pts] = ms
        cuts += flashes.filter(timecode, above_threshold=ms in changes)
    return [times[cut.pts] for cut in cuts]


def _scenes(timeline: Timeline, cuts_ms: list[float]) -> Scenes:
    start, end = round(timeline.start_ms), round(timeline.end_ms)
    inner = sorted({cut for cut in map(round, cuts_ms) if start < cut < end})
    bounds = zip([start, *inner], [*inner, end], strict=True)
    return Scenes([Scene(i, begin, stop) for i, (begin, stop) in enumerate(bounds)])


def _timecode(ms: float, fps: float) -> FrameTimecode:
    return FrameTimecode(Timecode(round(ms * 1000), _MICROSECOND), fps)
