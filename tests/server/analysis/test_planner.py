"""Plans: which frames, in which chunks, whatever the pool's size."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest

from ipc.messages import MediaRange, VideoInfo
from server.analysis.planner import plan_frames
from server.errors import Problem
from server.settings import MB, Settings, from_environ
from server.tasks.registry import installed
from server.tasks.task import FrameInput

VIDEO = VideoInfo(1920, 1080, 30.0, 9000, 300_000)
SCENES = installed()["scenes"].needs(installed()["scenes"].options())
WHOLE = MediaRange(0, 9000, 0.0, 300_000.0, 0.0, 300_000.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environ = {"MODEL_CACHE_DIR": str(tmp_path), "FRAME_POOL_MB": "256", "DEVICES": "cpu"}
    return from_environ(environ, ())


def test_every_nth_frame_in_order(settings: Settings) -> None:
    plan = plan_frames(FrameInput(30, 8), VIDEO, WHOLE, settings)
    indices = [i for chunk in plan.chunks() for i in chunk.indices]
    assert indices == list(range(0, 9000, 30))


def test_a_range_holds_the_frames_that_the_whole_has_there(settings: Settings) -> None:
    span = MediaRange(100, 200, 3333.0, 6666.0, None, None)
    plan = plan_frames(FrameInput(30, 8), VIDEO, span, settings)
    assert list(plan.indices) == [120, 150, 180]


def test_scene_chunks_overlap_by_the_frame_to_compare_with(settings: Settings) -> None:
    chunks = list(plan_frames(SCENES, VIDEO, WHOLE, settings).chunks())
    assert chunks[0].context == 0
    for before, after in itertools.pairwise(chunks):
        assert after.context == 1
        assert after.indices[0] == before.indices[-1]
    fresh = [i for chunk in chunks for i in chunk.indices[chunk.context :]]
    assert fresh == list(range(9000))


@pytest.mark.parametrize("pool_mb", [64, 256, 4096])
def test_several_chunks_fit_the_pool(pool_mb: int, settings: Settings) -> None:
    settings = msgspec.structs.replace(settings, frame_pool_mb=pool_mb)
    for needs in (FrameInput(1, 8), FrameInput(1, 2), SCENES):
        plan = plan_frames(needs, VIDEO, WHOLE, settings)
        chunk_bytes = plan.height * plan.width * 3 * plan.chunk_frames
        assert 8 * chunk_bytes <= pool_mb * MB or plan.chunk_frames == 1


def test_frames_too_large_are_refused_with_the_limit(settings: Settings) -> None:
    small = msgspec.structs.replace(settings, max_frame_pixels=1000)
    with pytest.raises(Problem, match="MAX_FRAME_PIXELS") as refusal:
        plan_frames(FrameInput(30, 8), VIDEO, WHOLE, small)
    assert refusal.value.status == 413
    huge = VideoInfo(8192, 8192, 30.0, 10, 333)
    roomy = msgspec.structs.replace(settings, max_frame_pixels=10**9)
    with pytest.raises(Problem, match="FRAME_POOL_MB"):
        plan_frames(FrameInput(30, 8), huge, WHOLE, roomy)
