"""Transcription against `whisper.transcribe` itself, on the same sound with the same weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
import whisper
from clip_library import ClipLibrary, real
from whisper_audio import as_whisper, read_audio, silence

from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.out_of_memory import run
from gpu_workers.tasks import transcribe
from gpu_workers.tasks.transcribe import Transcribe
from gpu_workers.weights.store import WeightsStore
from ipc.messages import Audio, AudioRef
from ipc.results import Segment, Transcript

if TYPE_CHECKING:
    from tests.conftest import FrameStore

# Whisper does not close the file that it reads its tokens from.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*tiktoken:ResourceWarning")

TINY = "tiny.pt"
SPEAKING = transcribe.Spec(TINY, "en", vad_filter=False)
FILTERED = transcribe.Spec(TINY, None, vad_filter=True)


@pytest.fixture(scope="module")
def model(weights_dir: Path) -> Transcribe:
    return transcribe.load(SPEAKING, Runtime("cpu", "fp32", WeightsStore(weights_dir)))


@pytest.fixture(scope="module")
def reference(weights_dir: Path) -> whisper.Whisper:
    """What `whisper.load_model("tiny")` gives where that file is Whisper's own."""
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


def put(store: FrameStore, sound: np.ndarray, start_ms: float = 0.0) -> Audio:
    ref = AudioRef(0, len(sound), start_ms)
    store.view.audio(ref)[:] = sound
    return Audio(ref)


def expected(net: whisper.Whisper, sound: np.ndarray, **options: Any) -> list[dict[str, Any]]:
    samples = sound.astype(np.float32) / 32_768
    options.setdefault("language", "en")
    return whisper.transcribe(net, samples, temperature=0, fp16=False, **options)["segments"]


def assert_same(items: list[Segment], segments: list[dict[str, Any]], start_ms: float) -> None:
    assert len(items) == len(segments) >= 10
    for item, segment in zip(items, segments, strict=True):
        assert item.text == segment["text"]
        assert item.start_ms == round(start_ms + segment["start"] * 1000)
        assert item.end_ms == round(start_ms + segment["end"] * 1000)
        assert item.confidence == pytest.approx(math.exp(segment["avg_logprob"]), abs=1e-4)


def test_same_as_whisper_and_twice_the_same(
    model: Transcribe, reference: whisper.Whisper, frame_store: FrameStore, speech: np.ndarray
) -> None:
    subject = put(frame_store, speech, start_ms=1500.25)
    result = run(model, SPEAKING, subject, frame_store.view)
    assert result.language == "en"
    assert_same(result.segments, expected(reference, speech), 1500.25)
    assert all(item.words is None for item in result.segments)
    assert run(model, SPEAKING, subject, frame_store.view) == result


def test_words_are_whispers_own(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    compressed_speech: np.ndarray,
) -> None:
    sound = compressed_speech
    spec = transcribe.Spec(TINY, "en", vad_filter=False, word_timestamps=True)
    items = run(model, spec, put(frame_store, sound), frame_store.view).segments
    segments = expected(reference, sound, word_timestamps=True)
    assert_same(items, segments, 0.0)
    words = [word for item in items for word in item.words]
    wanted = [word for segment in segments for word in segment["words"]]
    assert len(words) == len(wanted) >= 10
    for word, want in zip(words, wanted, strict=True):
        assert word.text == want["word"]
        assert (word.start_ms, word.end_ms) == (
            round(want["start"] * 1000),
            round(want["end"] * 1000),
        )
        assert word.confidence == pytest.approx(want["probability"], abs=1e-4)


def test_filtered_speech_is_where_somebody_speaks(
    model: Transcribe,
    frame_store: FrameStore,
    speech: np.ndarray,
    capfd: pytest.CaptureFixture[str],
) -> None:
    parts = [silence(4), speech, silence(10), speech[: 5 * 16_000 + 77], silence(3)]
    sound = np.concatenate(parts)
    subject = put(frame_store, sound, start_ms=250.5)
    spec = transcribe.Spec(TINY, None, vad_filter=True, word_timestamps=True)
    result = run(model, spec, subject, frame_store.view)
    assert result.language in whisper.tokenizer.LANGUAGES
    assert len(result.segments) >= 8
    spoken = [(4000, 15_000), (25_000, 30_000)]
    for item in result.segments:
        for times in (item, *item.words):
            assert times.start_ms <= times.end_ms
            for ms in (times.start_ms - 250, times.end_ms - 250):
                assert any(start - 500 <= ms <= end + 500 for start, end in spoken)
    assert any(item.start_ms > 24_000 for item in result.segments)
    assert msgspec.json.encode(run(model, spec, subject, frame_store.view)) == msgspec.json.encode(
        result
    )
    assert capfd.readouterr() == ("", "")


def test_the_language_is_that_of_the_speech(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    compressed_speech: np.ndarray,
) -> None:
    sound = np.concatenate([silence(40), compressed_speech])
    windows = model.preprocess(FILTERED, put(frame_store, sound), frame_store.view).windows
    heard = whisper.pad_or_trim(whisper.log_mel_spectrogram(windows[0].cut_from(as_whisper(sound))))
    _, odds = reference.detect_language(heard[:, :3000])
    assert windows[0].stretches[0][0] > 39 * 16_000
    result = run(model, FILTERED, put(frame_store, sound), frame_store.view)
    assert result.language == max(odds, key=odds.get)


@pytest.mark.parametrize("language", [None, "de"])
def test_where_nobody_speaks_whisper_is_not_asked(
    model: Transcribe,
    frame_store: FrameStore,
    monkeypatch: pytest.MonkeyPatch,
    language: str | None,
) -> None:
    monkeypatch.delattr(whisper, "transcribe")
    monkeypatch.setattr(model._whisper.encoder, "forward", None)
    noise = np.random.default_rng(0).integers(-20, 21, 3 * 16_000).astype(np.int16)
    filtered = transcribe.Spec(TINY, language, vad_filter=True)
    for sound in (np.zeros_like(noise), noise, noise[:0]):
        result = run(model, filtered, put(frame_store, sound), frame_store.view)
        assert result == Transcript(language, [])
    unfiltered = transcribe.Spec(TINY, language, vad_filter=False)
    result = run(model, unfiltered, put(frame_store, noise[:0]), frame_store.view)
    assert result == Transcript(language, [])


def test_a_language_whisper_does_not_know_is_named(
    model: Transcribe, frame_store: FrameStore
) -> None:
    spec = transcribe.Spec(TINY, "klingon", vad_filter=True)
    subject = put(frame_store, np.zeros(16_000, np.int16))
    with pytest.raises(InvalidSpec, match=r"tiny\.pt .* klingon; allowed are en, zh"):
        model.preprocess(spec, subject, frame_store.view)
    assert issubclass(InvalidSpec, InvalidSpec)


def test_an_english_model_knows_english_only(tmp_path: Path, frame_store: FrameStore) -> None:
    dims = whisper.ModelDimensions(80, 1500, 64, 1, 1, 51_864, 448, 64, 1, 1)
    state = whisper.model.Whisper(dims).state_dict()
    torch.save({"dims": vars(dims), "model_state_dict": state}, tmp_path / "own.en.pt")
    spec = transcribe.Spec("own.en.pt", "de", vad_filter=True)
    model = transcribe.load(spec, Runtime("cpu", "fp32", WeightsStore(tmp_path)))
    subject = put(frame_store, np.zeros(16_000, np.int16))
    with pytest.raises(InvalidSpec, match=r"cannot transcribe de; allowed are en\."):
        model.preprocess(spec, subject, frame_store.view)


@pytest.mark.gpu
def test_half_precision_on_a_gpu_says_nearly_the_same(
    model: Transcribe, weights_dir: Path, frame_store: FrameStore, speech: np.ndarray
) -> None:
    on_gpu = transcribe.load(SPEAKING, Runtime("cuda:0", "fp16", WeightsStore(weights_dir)))
    subject = put(frame_store, speech)
    items = run(on_gpu, SPEAKING, subject, frame_store.view).segments
    wanted = run(model, SPEAKING, subject, frame_store.view).segments
    same = {item.text for item in items} & {item.text for item in wanted}
    assert on_gpu.info.precision == "fp16"
    assert len(same) >= len(wanted) / 2
