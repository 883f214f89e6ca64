"""Scenes: PySceneDetect's ContentDetector, over chunks and then over the times of all frames.

A score needs two frames and may be computed in chunks; the minimum scene length needs them all in
order. So chunks of small frames give the changes, and the timeline of them gives the scenes.
"""

from __future__ import annotations

from fractions import Fraction

import cv2
from scenedetect import ContentDetector, FrameTimecode
from scenedetect.common import Timecode
from scenedetect.detector import FlashFilter

from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from ipc.arena import ArenaView, Pixels
from ipc.messages import Frames, ModelInfo, Timeline
from ipc.results import Changes, Scene, Scenes
from ipc.specs import ScenesSpec

# A threshold of 0.4 is ContentDetector's default of 27.
SCORE_PER_THRESHOLD = 67.5

_MICROSECOND = Fraction(1, 1_000_000)  # what PySceneDetect itself rounds times to


def load(spec: ScenesSpec, runtime: Runtime) -> SceneDetector:
    """Nothing to load: the detector has no weights."""
    return SceneDetector(model_info("ContentDetector", None, runtime, "scenedetect", "opencv"))


class SceneDetector:
    """Turns `Frames` into `Changes`, and the `Timeline` of all changes into `Scenes`.

    Frames are to be as small as PySceneDetect makes them: a longer side of 256 pixels, scaled by
    cv2.INTER_LINEAR.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def preprocess(
        self, spec: ScenesSpec, subject: Frames | Timeline, arena: ArenaView
    ) -> list[tuple[float, Pixels]] | Timeline:
        """Convert frames to BGR, each with its time in ms."""
        if isinstance(subject, Timeline):
            return subject
        return [
            (ref.timestamp_ms, cv2.cvtColor(arena.frame(ref), cv2.COLOR_RGB2BGR))
            for ref in subject.refs
        ]

    def infer(self, spec: ScenesSpec, inputs: list[tuple[float, Pixels]] | Timeline) -> list[float]:
        """Times in ms: of the frames that changed, or of a timeline's cuts."""
        if isinstance(inputs, Timeline):
            return _cuts(spec, inputs)
        return _changes(spec, inputs)

    def postprocess(
        self, spec: ScenesSpec, subject: Frames | Timeline, outputs: list[float]
    ) -> Changes | Scenes:
        """The changes of this chunk's own frames, or the scenes between the cuts."""
        if isinstance(subject, Timeline):
            return _scenes(subject, outputs)
        context = {ref.timestamp_ms for ref in subject.refs[: subject.context]}
        return Changes([time for time in outputs if time not in context])


def _changes(spec: ScenesSpec, frames: list[tuple[float, Pixels]]) -> list[float]:
    """Times of the frames whose score against the one before reaches the threshold."""
    # Without a minimum length the detector reports every such frame, and nothing else.
    detector = ContentDetector(threshold=spec.threshold * SCORE_PER_THRESHOLD, min_scene_len=0)
    return [ms for ms, frame in frames if detector.process_frame(_timecode(ms, 1.0), frame)]


def _cuts(spec: ScenesSpec, timeline: Timeline) -> list[float]:
    """Times of the cuts, after the filter through which ContentDetector passes its changes."""
    flashes = FlashFilter(FlashFilter.Mode.MERGE, length=float(spec.min_scene_length))
    changes = set(timeline.changes_ms)
    times = {}
    cuts = []
    for ms in timeline.timestamps_ms:
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
