"""The decoder's audio against that of Whisper's own loader, which uses ffmpeg."""

from __future__ import annotations

from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from clip_library import ClipLibrary, real

from bench.clips.generate import make_small
from ipc.child import TaskError
from server.decoding.audio import read_audio
from server.decoding.media_index import _Packets, read_index


@pytest.fixture
def load_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """`whisper.load_audio`, with an ffmpeg program that it can call."""
    import whisper

    (tmp_path / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return whisper.load_audio


@pytest.mark.parametrize(
    "name", ["spoken.flac", "spoken.m4a", "everything.mp4", *real("jfk.flac", "nasa_13013.mp4")]
)
def test_sound_equals_whispers_own(name: str, clips: ClipLibrary, load_audio: object) -> None:
    expected = load_audio(str(clips.path(name)))  # type: ignore[operator]
    out = np.zeros(len(expected) + 16_000, np.int16)
    audio_ms = read_index(str(clips.path(name))).audio_ms
    assert audio_ms is not None
    count = read_audio(str(clips.path(name)), *audio_ms, out)
    assert expected.std() > 0.01
    assert count == pytest.approx(len(expected), abs=160)
    same = min(count, len(expected))
    ours = out[:same].astype(np.float32) / 32768
    assert np.corrcoef(ours, expected[:same])[0, 1] > 0.999
    assert np.abs(ours - expected[:same]).max() < 0.01


@pytest.mark.parametrize("name", ["spoken.flac", *real("jfk.flac")])
def test_a_window_is_the_same_sound_as_in_the_whole(name: str, clips: ClipLibrary) -> None:
    path = str(clips.path(name))
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


def test_a_full_slot_ends_the_reading(clips: ClipLibrary) -> None:
    out = np.zeros(1000, np.int16)
    assert read_audio(str(clips.path("spoken.flac")), 0.0, 11_000.0, out) == 1000


def test_no_sound_is_said_so(tmp_path: Path) -> None:
    make_small(tmp_path / "mute.mp4", seconds=1, audio=False)
    with pytest.raises(TaskError) as refusal:
        read_audio(str(tmp_path / "mute.mp4"), 0.0, 1000.0, np.zeros(9, np.int16))
    assert refusal.value.code == "no_audio_stream"


def test_a_format_that_changes_on_the_way(tmp_path: Path) -> None:
    """Two recordings in one file, of 16 000 samples each at its own rate: 1 s and 0.5 s."""
    path = tmp_path / "joined.aac"
    parts = []
    for rate, layout in ((16_000, "mono"), (32_000, "stereo")):
        part = tmp_path / f"{rate}.aac"
        with av.open(str(part), "w", format="adts") as container:
            stream = container.add_stream("aac", rate=rate, layout=layout)
            silence = np.zeros((len(stream.layout.channels), 16_000), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout=layout)
            frame.rate = rate
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    out = np.empty(100_000, np.int16)
    assert read_audio(str(path), 0, 6000, out) == pytest.approx(24_000, abs=2200)


def test_audio_whose_times_are_all_negative_is_empty(clips: ClipLibrary) -> None:
    packets = _Packets()
    packets.times = {0: [(-500, 20, True), (-480, 20, True)]}
    with av.open(str(clips.path("spoken.flac"))) as container:
        assert packets.bounds_ms(container.streams.audio[0]) == (0.0, 0.0)
