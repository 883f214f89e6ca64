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
# More than ten sentences each, of a synthesiser and of people.
SPOKEN = ("narrated.mp4", "museum.flac")
RECORDED = [(*names, *names, *names) for names in [real("jfk.flac", "nasa_13013.mp4")] if names]


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


@pytest.mark.parametrize(("names", "words"), [(SPOKEN, True), *((n, False) for n in RECORDED)])
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
    assert_same(items, wanted, 0.0)
    if words:
        assert_same_words(items, wanted)


@pytest.mark.parametrize(("names", "words"), [(SPOKEN, False), *((n, True) for n in RECORDED)])
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
        samples = cut(window, as_whisper(talk)).numpy()
        alone = whisper.transcribe(
            reference,
            samples,
            language="en",
            temperature=0,
            fp16=False,
            condition_on_previous_text=False,
            word_timestamps=words,
        )
        wanted += [segment["text"] for segment in alone["segments"] if segment["text"].strip()]
    found = segments(result)
    assert len(found) >= 10
    assert [item.text for item in found] == wanted
