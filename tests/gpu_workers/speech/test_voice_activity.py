"""Silero VAD: it hears speech, and no more than speech."""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import pytest
import torch
from clip_library import ClipLibrary, real
from transcription import regions
from whisper_audio import as_whisper, read_audio, silence

from gpu_workers.speech.voice_activity import FRAMES_AT_ONCE, VoiceDetector
from ipc.arena import SAMPLE_RATE
from ipc.speech import VOICE_FRAME_SAMPLES, VoiceState

HOUR = 3600 * SAMPLE_RATE


@pytest.fixture(scope="module")
def voice() -> VoiceDetector:
    return VoiceDetector()


@pytest.fixture(scope="module", params=["spoken.flac", *real("jfk.flac")])
def spoken(request: pytest.FixtureRequest, clips: ClipLibrary) -> np.ndarray:
    """Eleven seconds of speech."""
    return read_audio(clips.path(request.param))


def speech(voice: VoiceDetector, sound: np.ndarray, longest: int = HOUR) -> list[tuple[int, int]]:
    return regions(voice, as_whisper(sound), longest)


def share(found: list[tuple[int, int]], sound: np.ndarray) -> float:
    return sum(end - start for start, end in found) / len(sound)


@pytest.mark.parametrize("name", ["spoken.flac", "spoken.m4a", *real("jfk.flac", "nasa_13013.mp4")])
def test_speech_is_found(voice: VoiceDetector, clips: ClipLibrary, name: str) -> None:
    sound = read_audio(clips.path(name))
    found = speech(voice, sound)
    assert share(found, sound) > 0.7
    assert speech(voice, sound) == found


def test_silence_between_speeches_is_left_out(voice: VoiceDetector, spoken: np.ndarray) -> None:
    pause = np.zeros(5 * SAMPLE_RATE, np.int16)
    first, second = speech(voice, np.concatenate([pause, spoken, pause, spoken]))
    early, late = 5 * SAMPLE_RATE, 5 * SAMPLE_RATE + len(spoken)
    margin = SAMPLE_RATE
    assert abs(first[0] - early) < margin
    assert abs(first[1] - late) < margin
    assert abs(second[0] - (late + len(pause))) < margin
    assert second[1] <= 2 * len(pause) + 2 * len(spoken)


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:FutureWarning")
def test_chances_are_those_of_the_packages_own_loop(
    voice: VoiceDetector, spoken: np.ndarray
) -> None:
    import silero_vad  # not above: it would take this process's threads

    package = silero_vad.load_silero_vad()
    sound = as_whisper(np.concatenate([spoken, silence(25), spoken[:54_321]]))
    wanted = package.audio_forward(sound[None], SAMPLE_RATE)[0].numpy()
    np.testing.assert_allclose(voice.chances(sound)[0], wanted, atol=1e-3)
    wanted_regions = silero_vad.get_speech_timestamps(
        sound, package, min_silence_duration_ms=2000, speech_pad_ms=400
    )
    assert len(wanted_regions) >= 2
    assert regions(voice, sound, HOUR) == [(one["start"], one["end"]) for one in wanted_regions]


@pytest.mark.parametrize("frames", [FRAMES_AT_ONCE, 3 * FRAMES_AT_ONCE, 100])
def test_parts_of_the_audio_have_the_chances_of_the_whole(
    voice: VoiceDetector, spoken: np.ndarray, frames: int
) -> None:
    audio = as_whisper(np.tile(spoken, 12))
    parts, state = [], None
    for part in torch.split(audio, frames * VOICE_FRAME_SAMPLES):
        chances, state = voice.chances(part, state)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=VoiceState)
        parts.append(chances)
    whole, _ = voice.chances(audio)
    assert len(parts) > 1
    if frames % FRAMES_AT_ONCE == 0:
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    else:
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_long_speech_is_cut_where_it_is_quiet(voice: VoiceDetector, spoken: np.ndarray) -> None:
    sound = np.tile(spoken, 3)
    longest = 7 * SAMPLE_RATE
    whole = speech(voice, sound)
    pieces = speech(voice, sound, longest)
    assert (pieces[0][0], pieces[-1][1]) == (whole[0][0], whole[-1][1])
    assert [end for _, end in pieces[:-1]] == [start for start, _ in pieces[1:]]
    lengths = [end - start for start, end in pieces]
    assert max(lengths) <= longest
    assert min(lengths) >= longest // 6
    chances, _ = voice.chances(as_whisper(sound))
    for start, _ in pieces[1:]:
        assert chances[start // 512 - 4 : start // 512 + 5].mean() < 0.3 < chances.mean()


def test_silence_and_noise_are_no_speech(voice: VoiceDetector) -> None:
    random = np.random.default_rng(0)
    faint = random.integers(-20, 21, 5 * SAMPLE_RATE).astype(np.int16)
    loud = random.integers(-8000, 8001, 5 * SAMPLE_RATE).astype(np.int16)
    for sound in (np.zeros(5 * SAMPLE_RATE, np.int16), faint, loud, faint[:100], faint[:0]):
        assert speech(voice, sound) == []


def test_torch_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("silero_vad")]:
        monkeypatch.delitem(sys.modules, name)  # it takes the threads when first imported
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    speech(VoiceDetector(), np.zeros(1000, np.int16))
    kept = torch.get_num_threads()
    torch.set_num_threads(threads)
    assert kept == 3
