"""Transcription with trained weights against `whisper.transcribe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import whisper
from clip_library import ClipLibrary, real
from transcription import cut, segments, transcribed, windows_of
from whisper_audio import as_whisper, read_audio, silence
from whisper_reference import assert_same, assert_same_words, expected

from gpu_workers.model import Runtime
from gpu_workers.tasks import transcribe
from gpu_workers.tasks.transcribe import Transcribe
from gpu_workers.weights.store import WeightsStore
from server.tasks.transcribe import TranscribeOptions

if TYPE_CHECKING:
    from tests.conftest import FrameStore

BASE = "base.pt"
# Whisper does not close the file that it reads its tokens from.
pytestmark = [
    pytest.mark.trained(BASE),
    pytest.mark.filterwarnings("ignore:unclosed file .*tiktoken:ResourceWarning"),
]
# Eleven sentences of a synthesiser; and fewer, but long ones, of people.
SPOKEN = ("narrated.mp4", "museum.flac")
RECORDED = [tuple(names) for names in [real("jfk.flac", "nasa_13013.mp4")] if names]
CASES = [(SPOKEN, False), *((names, True) for names in RECORDED or [SPOKEN])]


@pytest.fixture(scope="module")
def model(trained_dir: Path) -> Transcribe:
    runtime = Runtime("cpu", "fp32", WeightsStore(trained_dir))
    return transcribe.load(transcribe.Spec(BASE, None), runtime)


@pytest.fixture(scope="module")
def reference(trained_dir: Path) -> whisper.Whisper:
    """The result of `whisper.load_model("base")` if the file were Whisper's own."""
    net = whisper.load_model(str(trained_dir / BASE), device="cpu")
    net.set_alignment_heads(whisper._ALIGNMENT_HEADS["base"])
    return net


def talk_of(clips: ClipLibrary, names: tuple[str, ...]) -> np.ndarray:
    """The sounds of files, with pauses."""
    parts = [part for name in names for part in (read_audio(clips.path(name)), silence(2.5))]
    return np.concatenate(parts)


@pytest.mark.parametrize(("names", "words"), CASES)
def test_all_of_the_audio_is_read_as_whisper_reads_it(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    clips: ClipLibrary,
    names: tuple[str, ...],
    words: bool,
) -> None:
    talk = talk_of(clips, names)
    options = TranscribeOptions(
        model_name=BASE, language="en", vad_filter=False, word_timestamps=words
    )
    items = segments(transcribed(model, frame_store, talk, options))
    wanted = expected(reference, talk, word_timestamps=words)
    assert_same(items, wanted, 0.0, least=1 if words else 10)
    if words:
        assert_same_words(items, wanted)


@pytest.mark.parametrize(("names", "words"), CASES)
def test_speech_is_read_as_whisper_reads_its_windows(
    model: Transcribe,
    reference: whisper.Whisper,
    frame_store: FrameStore,
    clips: ClipLibrary,
    names: tuple[str, ...],
    words: bool,
) -> None:
    talk = talk_of(clips, names)
    options = TranscribeOptions(model_name=BASE, word_timestamps=words)
    result = transcribed(model, frame_store, talk, options)
    assert result.language == "en"
    wanted = []
    for window in windows_of(model._voice, as_whisper(talk)):
        samples = (cut(window, as_whisper(talk)) * 32_768).numpy()
        wanted += expected(
            reference, samples, condition_on_previous_text=False, word_timestamps=words
        )
    found = segments(result)
    assert [item.text for item in found] == [one["text"] for one in wanted if one["text"].strip()]
    if words:
        said = [word.text for item in found for word in item.words]
        assert said == [word["word"] for one in wanted for word in one["words"]]
    assert len(said if words else found) >= 10
