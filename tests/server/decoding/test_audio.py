"""The decoder's audio against that of Whisper's own loader, which uses ffmpeg."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from bench.clips.generate import make_small
from ipc.child import TaskError
from server.decoding.audio import read_audio


@pytest.fixture
def load_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """`whisper.load_audio`, with an ffmpeg program that it can call."""
    import whisper

    (tmp_path / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return whisper.load_audio


@pytest.mark.parametrize("name", ["jfk.flac", "nasa_13013.mp4"])
def test_sound_equals_whispers_own(name: str, data_dir: Path, load_audio: object) -> None:
    expected = load_audio(str(data_dir / name))  # type: ignore[operator]
    out = np.zeros(len(expected) + 16_000, np.int16)
    count = read_audio(str(data_dir / name), 0.0, 60_000.0, out)
    assert count == pytest.approx(len(expected), abs=160)
    same = min(count, len(expected))
    ours = out[:same].astype(np.float32) / 32768
    assert np.corrcoef(ours, expected[:same])[0, 1] > 0.999
    assert np.abs(ours - expected[:same]).max() < 0.01


def test_a_window_is_the_same_sound_as_in_the_whole(data_dir: Path) -> None:
    path = str(data_dir / "jfk.flac")
    whole, window = np.zeros(200_000, np.int16), np.zeros(200_000, np.int16)
    read_audio(path, 0.0, 11_000.0, whole)
    count = read_audio(path, 4000.0, 7000.0, window)
    assert count == 48_000
    correlations = [
        np.corrcoef(window[:count].astype(float), whole[64_000 + lag : 112_000 + lag])[0, 1]
        for lag in (-2, -1, 0, 1, 2)
    ]
    assert int(np.argmax(correlations)) == 2  # the resampler starts within half a sample
    assert max(correlations) > 0.97


def test_a_full_slot_ends_the_reading(data_dir: Path) -> None:
    out = np.zeros(1000, np.int16)
    assert read_audio(str(data_dir / "jfk.flac"), 0.0, 11_000.0, out) == 1000


def test_no_sound_is_said_so(tmp_path: Path) -> None:
    make_small(tmp_path / "mute.mp4", seconds=1, audio=False)
    with pytest.raises(TaskError) as refusal:
        read_audio(str(tmp_path / "mute.mp4"), 0.0, 1000.0, np.zeros(9, np.int16))
    assert refusal.value.code == "no_audio_stream"
