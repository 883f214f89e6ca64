"""Clips match their ground truth, frame by frame."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from bench.clips import generate, stories
from bench.clips.encoding import stamp
from bench.clips.scenes import Truth, truth_of
from bench.clips.shapes import Frame
from bench.clips.sound import RATE


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("clips") / "small.mp4"
    return path, generate.make_small(path)


def frames_of(path: Path) -> list[Frame]:
    with av.open(path) as clip:
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]


def sound_of(path: Path) -> np.ndarray:
    """All samples (channels, samples) of a clip's audio."""
    with av.open(path) as clip:
        return np.concatenate([frame.to_ndarray() for frame in clip.decode(audio=0)], axis=1)


def test_every_frame_carries_its_number(small: tuple[Path, Truth]) -> None:
    path, truth = small
    frames = frames_of(path)
    assert (
        [generate.read_stamp(frame) for frame in frames]
        == list(range(truth.frame_count))
        == [*range(90)]
    )
    assert frames[0].shape == (truth.height, truth.width, 3)


@pytest.mark.parametrize("index", [0, 1, 12345, 2**18 - 1])
def test_a_stamp_is_read_at_any_scale(index: int) -> None:
    frame = np.full((1080, 1920, 3), 77, np.uint8)
    stamp(frame, index)
    for width, height in ((1920, 1080), (640, 360), (320, 180)):
        scaled = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        assert generate.read_stamp(scaled) == index


def test_a_picture_without_a_stamp_is_refused() -> None:
    with pytest.raises(ValueError, match="has no frame number"):
        generate.read_stamp(np.full((180, 320, 3), 77, np.uint8))


def test_cuts_are_where_the_truth_says(small: tuple[Path, Truth]) -> None:
    path, truth = small
    frames = np.array(frames_of(path), np.int16)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert [int(index) + 1 for index in np.flatnonzero(change > 20)] == list(truth.cuts) == [30, 60]
    assert np.delete(change, np.subtract(truth.cuts, 1)).max() < 10


def test_boxes_hold_the_shape_and_nothing_else(tmp_path: Path) -> None:
    truth = generate.make_long(tmp_path / "long.mp4", frames=40, width=640, height=360, gop=20)
    for index, frame in enumerate(frames_of(tmp_path / "long.mp4")):
        assert generate.read_stamp(frame) == index
        frame[:16] = frame[-1, -1]  # the stamp
        rows, columns = np.nonzero(np.abs(frame.astype(int) - frame[-1, -1]).max(axis=2) > 40)
        (box,) = truth.boxes[index]
        assert columns.min() == pytest.approx(box.x, abs=2.5)
        assert rows.min() == pytest.approx(box.y, abs=2.5)
        assert columns.max() + 1 == pytest.approx(box.x + box.width, abs=2.5)
        assert rows.max() + 1 == pytest.approx(box.y + box.height, abs=2.5)


def test_keyframes_come_every_gop_and_nowhere_else(tmp_path: Path) -> None:
    generate.make_bench(tmp_path / "bench.mp4", seconds=5, width=320, height=180, gop=50)
    with av.open(tmp_path / "bench.mp4") as clip:
        keys = [index for index, frame in enumerate(clip.decode(video=0)) if frame.key_frame]
    assert keys == [0, 50, 100]


def test_the_same_call_gives_the_same_bytes(small: tuple[Path, Truth], tmp_path: Path) -> None:
    path, truth = small
    assert generate.make_small(tmp_path / "again.mp4") == truth
    assert (tmp_path / "again.mp4").read_bytes() == path.read_bytes()
    generate.make_small(tmp_path / "other.mp4", seconds=1, seed=2)
    assert not np.array_equal(frames_of(tmp_path / "other.mp4")[9], frames_of(path)[9])


def test_variable_frame_rate_keeps_every_pts(tmp_path: Path) -> None:
    expected_ms = generate.make_vfr(tmp_path / "vfr.mp4", frames=50)
    with av.open(tmp_path / "vfr.mp4") as clip:
        frames = list(clip.decode(video=0))
    assert [float(frame.pts * frame.time_base * 1000) for frame in frames] == expected_ms
    assert len(set(np.diff(expected_ms))) > 3
    assert [generate.read_stamp(f.to_ndarray(format="rgb24")) for f in frames] == list(range(50))


def test_a_truncated_clip_still_opens_but_ends_early(
    small: tuple[Path, Truth], tmp_path: Path
) -> None:
    path, truth = small
    generate.truncate(path, tmp_path / "cut.mp4", 0.6)
    decoded = 0
    with av.open(tmp_path / "cut.mp4") as clip:
        assert clip.streams.video[0].frames == truth.frame_count
        with suppress(av.InvalidDataError):  # the last frame may be damaged
            for _ in clip.decode(video=0):
                decoded += 1
    assert 0 < decoded < truth.frame_count


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_clip_is_upright_once_its_tag_is_obeyed(tmp_path: Path, degrees: int) -> None:
    truth = generate.make_rotated(tmp_path / "turned.mp4", degrees, seconds=0.5)
    with av.open(tmp_path / "turned.mp4") as clip:
        frames = list(clip.decode(video=0))
    assert {frame.rotation % 360 for frame in frames} == {degrees}
    upright = [np.rot90(frame.to_ndarray(format="rgb24"), degrees // 90) for frame in frames]
    assert {frame.shape for frame in upright} == {(truth.height, truth.width, 3)}
    assert [generate.read_stamp(frame) for frame in upright] == list(range(truth.frame_count))


def test_audio_is_present_and_silence_is_zero(small: tuple[Path, Truth], tmp_path: Path) -> None:
    path, _ = small
    generate.make_silent(tmp_path / "silent.mp4")
    generate.make_audio(tmp_path / "audio.m4a")
    assert np.abs(sound_of(tmp_path / "silent.mp4")).max() == 0
    for file in (path, tmp_path / "audio.m4a"):
        assert sound_of(file).shape[1] / RATE == pytest.approx(3, abs=0.1)
        assert sound_of(file).std() > 0.01
    with av.open(tmp_path / "audio.m4a") as clip:
        assert not clip.streams.video
    with av.open(path) as clip:
        assert clip.streams.audio[0].codec_context.layout.name == "stereo"


def test_a_clip_without_audio_has_no_audio_stream(tmp_path: Path) -> None:
    generate.make_small(tmp_path / "mute.mp4", seconds=0.5, audio=False)
    with av.open(tmp_path / "mute.mp4") as clip:
        assert not clip.streams.audio


def test_the_demo_shows_whole_shapes_apart_from_each_other() -> None:
    truth = truth_of(stories.demo(1280, 720), 1280, 720, 30, ())
    assert truth.frame_count / truth.fps >= 24
    assert len(truth.cuts) >= 5
    assert {box.label for boxes in truth.boxes for box in boxes} == {
        "circle",
        "square",
        "triangle",
        "star",
    }
    assert {len(boxes) for boxes in truth.boxes} == {0, 3, 4, 5}
    for boxes in truth.boxes:
        for place, box in enumerate(boxes):
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.width <= 1280
            assert box.y + box.height <= 720
            assert all(box.iou(other) == 0 for other in boxes[place + 1 :])


def test_the_command_writes_the_clip_and_its_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["clips", "vfr", str(tmp_path / "out.mp4")])
    generate.main()
    assert len(frames_of(tmp_path / "out.mp4")) == 60
    assert len(json.loads((tmp_path / "out.truth.json").read_text())) == 60
