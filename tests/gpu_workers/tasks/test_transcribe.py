"""Transcription against `whisper.transcribe` itself, on the same audio with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
import whisper
from clip_library import ClipLibrary, real
from transcription import cut, segments, transcribed, windows_of
from whisper_audio import as_whisper, read_audio, silence
from whisper_reference import assert_same, assert_same_words, expected

from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.speech.batch_transcription import read_windows
from gpu_workers.speech.window_progress import Progress
from gpu_workers.tasks import transcribe
from gpu_workers.tasks.transcribe import Transcribe
from gpu_workers.weights.store import WeightsStore
from ipc.subjects import Audio
from server.tasks import transcribe_steps
from server.tasks.transcribe import TranscribeOptions

if TYPE_CHECKING:
    from tests.conftest import FrameStore

# Whisper does not close the file that it reads its tokens from.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*tiktoken:ResourceWarning")

TINY = "tiny.pt"
LOAD = transcribe.Spec(TINY, None)
SPEAKING = TranscribeOptions(model_name=TINY, language="en", vad_filter=False)
FILTERED = TranscribeOptions(model_name=TINY)


@pytest.fixture(scope="module")
def model(weights_dir: Path) -> Transcribe:
    return transcribe.load(LOAD, Runtime("cpu", "fp32", WeightsStore(weights_dir)))


@pytest.fixture(scope="module")
def reference(weights_dir: Path) -> whisper.Whisper:
    """The result of `whisper.load_model("tiny")` if the file were Whisper's own."""
    net = whisper.load_model(str(weights_dir / TINY), device="cpu")
    net.set_alignment_heads(whisper._ALIGNMENT_HEADS["tiny"])
    return net


@pytest.fixture(scope="module", params=["museum.flac", *real("jfk.flac")])
def speech(request: pytest.FixtureRequest, clips: ClipLibrary) -> np.ndarray:
    """Eleven seconds, recorded without loss."""
    return read_audio(clips.path(request.param))


@pytest.fixture(scope="module", params=["spoken.m4a", *real("nasa_13013.mp4")])
def compressed_speech(request: pytest.FixtureRequest, clips: ClipLibrary) -> np.ndarray:
    """Thirteen seconds, as AAC leaves them."""
    return read_audio(clips.path(request.param))


@pytest.fixture(scope="module")
def talk(clips: ClipLibrary) -> np.ndarray:
    """80 s of speech with pauses, the loudest of it late."""
    one, other = (read_audio(clips.path(name)) for name in ("museum.flac", "village.flac"))
    parts = [one // 3, silence(3), other // 3, silence(10), one, other[:100_003], silence(25)]
    return np.concatenate(parts)


def test_same_as_whisper_and_twice_the_same(
    model: Transcribe, reference: whisper.Whisper, frame_store: FrameStore, speech: np.ndarray
) -> None:
    result = transcribed(model, frame_store, speech, SPEAKING, start_ms=1500.25)
    assert result.language == "en"
    assert_same(result.segments, expected(reference, speech), 1500.25)
    assert all(item.words is None for item in result.segments)
    again = transcribed(model, frame_store, speech, SPEAKING, start_ms=1500.25)
    assert segments(again) == result.segments


@pytest.mark.parametrize("language", ["en", None])
def test_many_windows_are_those_of_whisper_on_all_of_the_audio(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    talk: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    language: str | None,
) -> None:
    """The text so far is the prompt of each window, and the loudest part is not in the first."""
    monkeypatch.setattr(transcribe_steps, "LOUDEST_SAMPLES", 10 * 16_000)
    options = msgspec.structs.replace(SPEAKING, language=language)
    result = transcribed(model, frame_store, talk, options)
    wanted = whisper.transcribe(
        reference, as_whisper(talk), temperature=0, fp16=False, language=language
    )
    assert len({segment["seek"] for segment in wanted["segments"]}) >= 3
    assert result.language == wanted["language"]
    assert_same(result.segments, wanted["segments"], 0.0)


@pytest.mark.parametrize("long", [False, True])
def test_words_are_whispers_own(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    compressed_speech: np.ndarray,
    talk: np.ndarray,
    long: bool,
) -> None:
    audio = talk if long else compressed_speech
    options = msgspec.structs.replace(SPEAKING, word_timestamps=True)
    items = segments(transcribed(model, frame_store, audio, options))
    wanted_segments = expected(reference, audio, word_timestamps=True)
    assert_same(items, wanted_segments, 0.0)
    assert_same_words(items, wanted_segments)


@pytest.mark.parametrize("missing", [0, 7, 200_000])
def test_audio_that_ends_early_is_that_of_the_file(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    speech: np.ndarray,
    missing: int,
) -> None:
    claimed = len(speech) + missing
    result = transcribed(model, frame_store, speech, SPEAKING, announced=claimed)
    assert_same(result.segments, expected(reference, speech), 0.0)
    filtered = transcribed(model, frame_store, speech, FILTERED, announced=claimed)
    assert segments(filtered) == segments(transcribed(model, frame_store, speech, FILTERED))


@pytest.mark.parametrize("words", [False, True])
def test_filtered_speech_is_that_of_one_call_on_all_of_the_audio(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    talk: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    words: bool,
) -> None:
    """Several messages for voice detection and for Whisper, on one worker and on three."""
    audio = np.concatenate([talk, talk[40_000:]])
    options = msgspec.structs.replace(FILTERED, word_timestamps=words)
    monkeypatch.setattr(transcribe_steps, "WINDOWS_AT_ONCE", 2)
    whole = segments(transcribed(model, frame_store, audio, options))
    assert len(whole) >= 30
    monkeypatch.setattr(transcribe_steps, "VOICE_SAMPLES", 1024 * 512)
    one, three = (
        transcribed(model, frame_store, audio, options, workers=workers) for workers in (1, 3)
    )
    assert msgspec.json.encode(one.segments) == msgspec.json.encode(whole)
    assert msgspec.json.encode(three.segments) == msgspec.json.encode(whole)
    assert three.language == one.language
    progresses = [Progress(window) for window in windows_of(model._voice, as_whisper(audio))]
    assert len(progresses) > 2
    while batch := [one for one in progresses if one.unfinished]:
        pairs = [(one, cut(one.window, as_whisper(audio))) for one in batch]
        read_windows(reference, pairs, language=one.language, word_timestamps=words, half=False)
    wanted = [segment for progress in progresses for segment in progress.segments]
    assert_same(whole, wanted, 0.0)


def test_filtered_speech_is_where_somebody_speaks(
    model: Transcribe,
    frame_store: FrameStore,
    speech: np.ndarray,
    capfd: pytest.CaptureFixture[str],
) -> None:
    audio = np.concatenate([silence(4), speech, silence(10), speech[: 5 * 16_000 + 77], silence(3)])
    options = msgspec.structs.replace(FILTERED, word_timestamps=True)
    result = transcribed(model, frame_store, audio, options, start_ms=250.5)
    assert result.language in whisper.tokenizer.LANGUAGES
    assert len(result.segments) >= 10
    spoken = [(4000, 15_000), (25_000, 30_000)]
    for item in result.segments:
        for times in (item, *item.words):
            assert times.start_ms <= times.end_ms
            for ms in (times.start_ms - 250, times.end_ms - 250):
                assert any(start - 500 <= ms <= end + 500 for start, end in spoken)
    assert any(item.start_ms > 24_000 for item in result.segments)
    again = transcribed(model, frame_store, audio, options, start_ms=250.5)
    assert msgspec.json.encode(again) == msgspec.json.encode(result)
    assert capfd.readouterr() == ("", "")


def test_the_language_is_that_of_the_speech(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    compressed_speech: np.ndarray,
) -> None:
    audio = np.concatenate([silence(40), compressed_speech])
    window = windows_of(model._voice, as_whisper(audio))[0]
    heard = whisper.pad_or_trim(whisper.log_mel_spectrogram(cut(window, as_whisper(audio))))
    _, odds = reference.detect_language(heard[:, :3000])
    assert window.stretches[0][0] > 39 * 16_000
    result = transcribed(model, frame_store, audio, FILTERED)
    assert result.language == max(odds, key=odds.get)


@pytest.mark.parametrize("language", [None, "de"])
def test_where_nobody_speaks_whisper_is_not_asked(
    model: Transcribe,
    frame_store: FrameStore,
    monkeypatch: pytest.MonkeyPatch,
    language: str | None,
) -> None:
    monkeypatch.setattr(model._whisper.encoder, "forward", None)
    noise = np.random.default_rng(0).integers(-20, 21, 3 * 16_000).astype(np.int16)
    filtered = msgspec.structs.replace(FILTERED, language=language)
    for audio in (np.zeros_like(noise), noise, noise[:0]):
        result = transcribed(model, frame_store, audio, filtered)
        assert (result.language, segments(result)) == (None, [])
    unfiltered = msgspec.structs.replace(filtered, vad_filter=False)
    for announced in (0, 48_000):
        result = transcribed(model, frame_store, noise[:0], unfiltered, announced=announced)
        assert (result.language, segments(result)) == (None, [])


def test_a_language_whisper_does_not_know_is_named(
    model: Transcribe, frame_store: FrameStore
) -> None:
    spec = transcribe.Spec(TINY, "klingon")
    with pytest.raises(InvalidSpec, match=r"tiny\.pt .* klingon; allowed are en, zh"):
        model.preprocess(spec, Audio((), 0, 0.0), frame_store.view)


def test_an_english_model_knows_english_only(tmp_path: Path, frame_store: FrameStore) -> None:
    dims = whisper.ModelDimensions(80, 1500, 64, 1, 1, 51_864, 448, 64, 1, 1)
    state = whisper.model.Whisper(dims).state_dict()
    torch.save({"dims": vars(dims), "model_state_dict": state}, tmp_path / "own.en.pt")
    spec = transcribe.Spec("own.en.pt", "de")
    model = transcribe.load(spec, Runtime("cpu", "fp32", WeightsStore(tmp_path)))
    with pytest.raises(InvalidSpec, match=r"cannot transcribe de; allowed are en\."):
        model.preprocess(spec, Audio((), 0, 0.0), frame_store.view)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_precision_on_a_gpu_says_nearly_the_same(
    model: Transcribe, weights_dir: Path, frame_store: FrameStore, speech: np.ndarray
) -> None:
    on_gpu = transcribe.load(LOAD, Runtime("cuda:0", "fp16", WeightsStore(weights_dir)))
    items = segments(transcribed(on_gpu, frame_store, speech, SPEAKING))
    wanted = segments(transcribed(model, frame_store, speech, SPEAKING))
    same = {item.text for item in items} & {item.text for item in wanted}
    assert on_gpu.info.precision == "fp16"
    assert len(same) >= len(wanted) / 2
