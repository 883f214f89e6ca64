"""Scenes, chunk by chunk, against `scenedetect.detect` on the whole file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import msgspec
import numpy as np
import pytest
import scenedetect
from clip_library import ClipLibrary, real
from clip_table import CUTS
from scenedetect.scene_manager import compute_downscale_factor

from gpu_workers.model import Runtime
from gpu_workers.tasks import scenes
from gpu_workers.tasks.scenes import SceneDetector
from gpu_workers.weights.store import WeightsStore
from ipc.results import Changes, Scene, Scenes, Timeline
from ipc.subjects import FrameRef, Frames, Gathered

if TYPE_CHECKING:
    from tests.conftest import FrameStore

FRAME_BYTES = 262_144  # room for a small frame


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SceneDetector:
    runtime = Runtime("cpu", "fp32", WeightsStore(tmp_path_factory.mktemp("empty")))
    return scenes.load(scenes.Spec(0.4, 0.6), runtime)


class Clip:
    """A video's small frames and their times, made as PySceneDetect's SceneManager makes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: list[np.ndarray] = []
        self.times_ms: list[float] = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]  # as OpenCV, which PySceneDetect reads with
            self.fps = float(stream.average_rate)
            origin = stream.start_time or 0
            for frame in container.decode(stream):
                self.frames.append(small(frame.to_ndarray(format="bgr24")))
                self.times_ms.append(float((frame.pts - origin) * frame.time_base * 1000))
        self.end_ms = self.times_ms[-1] + 1000 / self.fps

    def expected(self, threshold: float, min_scene_length: float) -> list[tuple[int, int]]:
        detector = scenedetect.ContentDetector(threshold * 67.5, min_scene_length)
        found = scenedetect.detect(str(self.path), detector, start_in_scene=True)
        cuts = [round(begin.seconds * 1000) for begin, _ in found[1:]]
        return list(zip([0, *cuts], [*cuts, round(self.end_ms)], strict=True))

    def timeline(self, changes_ms: list[float]) -> Timeline:
        return Timeline(self.times_ms, changes_ms, 0.0, self.end_ms, self.fps)


def small(frame: np.ndarray) -> np.ndarray:
    """Downscale a BGR frame, and return it as RGB."""
    height, width, _ = frame.shape
    factor = compute_downscale_factor(max(width, height))
    size = max(1, round(width / factor)), max(1, round(height / factor))
    scaled = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) if factor > 1 else frame
    return np.ascontiguousarray(scaled[..., ::-1])


def run(model: SceneDetector, spec: scenes.Spec, subject: Frames | Timeline, store: FrameStore):
    if isinstance(subject, Timeline):
        subject = Gathered(msgspec.Raw(msgspec.msgpack.encode(subject)))
    inputs = model.preprocess(spec, subject, store.view)
    return model.postprocess(spec, subject, model.infer(spec, inputs))


def changes(
    model: SceneDetector, spec: scenes.Spec, clip: Clip, store: FrameStore, chunk: int
) -> list[float]:
    """The changes of all chunks of `chunk` frames, each after the last frame of the one before."""
    found: list[float] = []
    for start in range(0, len(clip.frames), chunk):
        context = min(start, 1)
        refs = []
        for i in range(start - context, min(start + chunk, len(clip.frames))):
            height, width, _ = clip.frames[i].shape
            ref = FrameRef(len(refs) * FRAME_BYTES, height, width, i, clip.times_ms[i])
            store.view.frame(ref)[:] = clip.frames[i]
            refs.append(ref)
        result = run(model, spec, Frames(tuple(refs), context), store)
        assert isinstance(result, Changes)
        found += result.changes_ms
    return found


def detect(
    model: SceneDetector, spec: scenes.Spec, clip: Clip, store: FrameStore, chunk: int = 64
) -> list[Scene]:
    timeline = clip.timeline(changes(model, spec, clip, store, chunk))
    result = run(model, spec, timeline, store)
    assert isinstance(result, Scenes)
    return result.items


def bounds(items: list[Scene]) -> list[tuple[int, int]]:
    return [(item.start_ms, item.end_ms) for item in items]


@pytest.fixture(scope="module")
def clip_named(clips: ClipLibrary) -> Callable[[str], Clip]:
    return cache(lambda name: Clip(clips.path(name)))


@pytest.fixture(scope="module")
def cuts(clip_named: Callable[[str], Clip]) -> Clip:
    """Thirty shots, some of which follow each other within 0.6 s."""
    return clip_named("cuts.mp4")


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("cuts.mp4", 10),
        ("takes.mp4", 2),
        ("reordered.mp4", 2),
        *((n, 1) for n in real("car-detection.mp4", "bottle-detection.mp4", "nasa_13013.mp4")),
    ],
)
def test_default_settings_equal_detect(model, frame_store, clip_named, name: str, least: int):
    clip = clip_named(name)
    found = detect(model, scenes.Spec(0.4, 0.6), clip, frame_store)
    assert len(found) >= least
    assert bounds(found) == clip.expected(0.4, 0.6)


def test_scenes_are_the_shots_that_were_cut(model, frame_store, cuts):
    found = detect(model, scenes.Spec(0.4, 0.0), cuts, frame_store)
    shown_ms = [round(cuts.times_ms[index]) for index in CUTS]
    assert [item.start_ms for item in found] == [0, *shown_ms]


@pytest.mark.parametrize(
    ("name", "threshold", "min_scene_length"),
    [
        ("cuts.mp4", 0.4, 0.6),
        ("cuts.mp4", 0.4, 0.0),
        ("cuts.mp4", 0.1, 0.3),
        ("photographs.mp4", 0.03, 0.0),
        *((name, 0.1, 0.3) for name in real("car-detection.mp4")),
        *((name, 0.02, 0.6) for name in real("bottle-detection.mp4")),
        *((name, 0.03, 0.0) for name in real("bottle-detection.mp4")),
    ],
)
def test_many_scenes_equal_detect(
    model, frame_store, clip_named, name: str, threshold: float, min_scene_length: float
):
    clip = clip_named(name)
    found = detect(model, scenes.Spec(threshold, min_scene_length), clip, frame_store)
    assert bounds(found) == clip.expected(threshold, min_scene_length)
    assert len(found) >= 10


@pytest.mark.parametrize("chunk", [1, 7, 100, 400])
def test_scenes_do_not_depend_on_the_chunks(model, frame_store, cuts, chunk: int):
    spec = scenes.Spec(0.4, 0.6)
    whole = detect(model, spec, cuts, frame_store)
    assert len(whole) >= 10
    assert detect(model, spec, cuts, frame_store, chunk) == whole


def test_context_frames_are_compared_with_and_not_reported(model, frame_store):
    black, white = np.zeros((90, 160, 3), np.uint8), np.full((90, 160, 3), 255, np.uint8)
    refs = frame_store.put([black, white, white, black]).refs
    spec = scenes.Spec(0.4, 0.6)
    assert run(model, spec, Frames(refs), frame_store).changes_ms == [40.0, 120.0]
    assert run(model, spec, Frames(refs[1:], 1), frame_store).changes_ms == [120.0]
    assert run(model, spec, Frames(refs, 2), frame_store).changes_ms == [120.0]


def test_scenes_cover_the_analysed_range(model, frame_store):
    times = [1000.4 + 40 * i for i in range(100)]
    timeline = Timeline(times, [times[50]], 1000.4, 5000.6, 25.0)
    assert run(model, scenes.Spec(0.4, 0.6), timeline, frame_store).items == [
        Scene(0, 1000, 3000),
        Scene(1, 3000, 5001),
    ]


def test_a_range_without_changes_is_one_scene(model, frame_store):
    timeline = Timeline([0.0, 40.0, 80.0], [], 0.0, 120.0, 25.0)
    items = run(model, scenes.Spec(0.4, 0.6), timeline, frame_store).items
    assert items == [Scene(0, 0, 120)]


def test_a_threshold_of_zero_makes_no_empty_scene(model, frame_store):
    times = [0.0, 40.0, 80.0]
    timeline = Timeline(times, times, 0.0, 120.0, 25.0)
    items = run(model, scenes.Spec(0.0, 0.0), timeline, frame_store).items
    assert bounds(items) == [(0, 40), (40, 80), (80, 120)]


def test_the_model_says_what_it_is(model):
    info = model.info
    assert (info.model_name, info.weights_sha256, info.stand_in) == ("ContentDetector", None, False)
    assert (info.device, info.precision) == ("cpu", "fp32")
    assert info.versions == {"scenedetect": scenedetect.__version__, "opencv": cv2.__version__}


def test_scenes_never_import_torch():
    program = "import sys, gpu_workers.tasks.scenes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
