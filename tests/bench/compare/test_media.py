"""Media made of files: lengths, sizes, and keyframes where the encoder puts them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from bench.clips.generate import make_audio, make_bench, make_small
from bench.compare import media


def keyframes(path: Path) -> list[int]:
    with av.open(str(path)) as clip:
        return [i for i, frame in enumerate(clip.decode(video=0)) if frame.key_frame]


def test_footage_repeats_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "VIDEO_SIZE", (640, 360))
    files = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for seed, file in enumerate(files):
        make_small(file, seconds=0.4, seed=seed)
    path = media.footage(tmp_path, 1, files)
    with av.open(str(path)) as clip:
        assert (clip.streams.video[0].frames, clip.streams.video[0].width) == (30, 640)
    made_at = path.stat().st_mtime_ns
    assert media.footage(tmp_path, 1, files).stat().st_mtime_ns == made_at


def test_a_single_mp4_is_used_as_it_is(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    assert media.footage(tmp_path, 60, [clip]) == media.speech(tmp_path, 60, [clip]) == clip


def test_keyframes_are_where_the_encoder_puts_them(tmp_path: Path) -> None:
    fixed, free = tmp_path / "fixed.mp4", tmp_path / "free.mp4"
    make_bench(fixed, seconds=5, width=320, height=180, gop=60)
    make_bench(free, seconds=5, width=320, height=180, gop=None)
    assert keyframes(fixed) == [0, 60, 120]
    assert keyframes(free) == [0, 120]  # at the cut after 4 s


def test_each_page_is_shown_for_one_interval(tmp_path: Path) -> None:
    dark = tmp_path / "dark.png"
    cv2.imwrite(str(dark), np.zeros((720, 640, 3), np.uint8))
    light = tmp_path / "light.png"
    cv2.imwrite(str(light), np.full((90, 160, 3), 255, np.uint8))
    with av.open(str(media.pages(tmp_path, [dark, light]))) as clip:
        frames = [frame.to_ndarray(format="gray") for frame in clip.decode(video=0)]
    assert len(frames) == 2 * media.FRAMES_PER_PAGE
    left, right = frames[0][:, :600], frames[0][:, 680:]
    assert left.max() < 30 < 220 < right.min()
    assert frames[60].min() > 220


def test_speech_is_repeated_up_to_its_length(tmp_path: Path) -> None:
    files = [tmp_path / "a.m4a"]
    make_audio(files[0], seconds=2)
    heard = media.sound(media.speech(tmp_path, 5, files), 16_000)
    assert len(heard) / 16_000 == pytest.approx(5, abs=0.1)
