"""Windows transcribed in batches, against `whisper.transcribe` on each window's sound alone."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from clip_library import ClipLibrary, real
from transcription import cut, windows_of
from whisper.decoding import DecodingResult
from whisper.tokenizer import get_tokenizer
from whisper_audio import as_whisper, read_audio, silence

from gpu_workers.speech.batch_transcription import read_windows
from gpu_workers.speech.packing import Window
from gpu_workers.speech.voice_activity import VoiceDetector
from gpu_workers.speech.window_progress import Progress, read
from ipc.arena import SAMPLE_RATE
from server.tasks.transcribe_steps import WINDOWS_AT_ONCE

# Whisper does not close the file that it reads its tokens from.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*tiktoken:ResourceWarning")

FIRST = 50_364  # the timestamp of 0 s


@pytest.fixture(scope="module")
def net(weights_dir: Path) -> whisper.Whisper:
    net = whisper.load_model(str(weights_dir / "tiny.pt"), device="cpu")
    net.set_alignment_heads(whisper._ALIGNMENT_HEADS["tiny"])
    return net


@pytest.fixture(
    scope="module",
    params=[
        ("museum.flac", "village.flac"),
        *[tuple(names) for names in [real("jfk.flac", "nasa_13013.mp4")] if names],
    ],
    ids=lambda names: names[0],
)
def talk(request: pytest.FixtureRequest, clips: ClipLibrary) -> torch.Tensor:
    """Two speeches in turn, with pauses short and long."""
    one, other = (read_audio(clips.path(name)) for name in request.param)
    parts = [silence(4), one, silence(3), other, silence(32), one[: 4 * SAMPLE_RATE + 77]]
    return as_whisper(np.concatenate(parts))


@pytest.fixture(scope="module")
def windows(talk: torch.Tensor) -> list[Window]:
    windows = windows_of(VoiceDetector(), talk)
    assert [len(window.stretches) for window in windows] == [2, 1]
    return windows


@pytest.fixture(scope="module")
def segments(
    net: whisper.Whisper, talk: torch.Tensor, windows: list[Window]
) -> list[dict[str, Any]]:
    return transcribed(net, talk, windows, words=False)


def transcribed(
    net: whisper.Whisper,
    audio: torch.Tensor,
    windows: list[Window],
    words: bool,
    at_once: int = WINDOWS_AT_ONCE,
) -> list[dict[str, Any]]:
    """All windows in one process, several at once, in the order that the front would choose."""
    every = [Progress(window) for window in windows]
    waiting = deque(every)
    while waiting:
        batch = [waiting.popleft() for _ in range(min(at_once, len(waiting)))]
        pairs = [(one, cut(one.window, audio)) for one in batch]
        language = read_windows(net, pairs, language="en", word_timestamps=words, half=False)
        assert language == "en"
        waiting.extend(one for one in batch if one.unfinished)
    return [segment for one in every for segment in one.segments]


def upstream(
    net: whisper.Whisper, sound: torch.Tensor, window: Window, words: bool
) -> list[dict[str, Any]]:
    answer = whisper.transcribe(
        net,
        cut(window, sound),
        temperature=0,
        language="en",
        condition_on_previous_text=False,
        word_timestamps=words,
        fp16=False,
    )
    return [
        segment
        for segment in answer["segments"]
        if segment["text"] and segment["start"] * SAMPLE_RATE < window.samples
    ]


def test_each_window_is_whispers_own(
    net: whisper.Whisper,
    talk: torch.Tensor,
    windows: list[Window],
    segments: list[dict[str, Any]],
) -> None:
    wanted = [(w, segment) for w in windows for segment in upstream(net, talk, w, words=False)]
    assert len(segments) == len(wanted) >= 25
    assert any(segment["seek"] > 0 for segment in segments)  # some left a rest to be heard again
    for segment, (window, want) in zip(segments, wanted, strict=True):
        assert segment["text"] == want["text"]
        assert (segment["start"], segment["end"]) == window.span(want["start"], want["end"])
        assert segment["avg_logprob"] == pytest.approx(want["avg_logprob"], abs=1e-4)


def test_words_are_whispers_own_and_in_order(
    net: whisper.Whisper, talk: torch.Tensor, windows: list[Window]
) -> None:
    window = windows[0]
    segments = transcribed(net, talk, [window], words=True)
    found = [word for segment in segments for word in segment["words"]]
    wanted = [
        word for segment in upstream(net, talk, window, words=True) for word in segment["words"]
    ]
    assert len(found) == len(wanted) >= 25
    for word, want in zip(found, wanted, strict=True):
        assert word["word"] == want["word"]
        assert (word["start"], word["end"]) == window.word(want["start"], want["end"])
        assert word["probability"] == pytest.approx(want["probability"], abs=1e-4)
    for segment in segments:
        times = [time for word in segment["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times)
        assert (segment["start"], segment["end"]) == (times[0], times[-1])


def test_company_changes_nothing(
    net: whisper.Whisper,
    talk: torch.Tensor,
    windows: list[Window],
    segments: list[dict[str, Any]],
) -> None:
    alone = transcribed(net, talk, windows, words=False, at_once=1)
    said = ("start", "end", "text", "tokens")
    assert [[s[key] for key in said] for s in alone] == [[s[key] for key in said] for s in segments]


@pytest.mark.parametrize(
    ("said", "parts", "frames"),
    [
        ([0, "a", 50, 50, "b", 90], [(0, 50), (50, 90)], 1000),  # closed: all is heard
        ([0, "a", 50, 50, "b"], [(0, 50)], 100),  # b is left for another try
        ([0, "a", 50, 50], [(0, 50)], 100),
        ([5, "a", 50], [(0, 50)], 1000),
        ([0, "a"], [(0, 500)], 1000),
        (["a"], [(0, 500)], 1000),
        ([], [(0, 500)], 1000),
    ],
)
def test_an_answer_is_split_at_pairs_of_timestamps(
    said: list[Any], parts: list[tuple[int, int]], frames: int
) -> None:
    tokens = [7 if isinstance(token, str) else FIRST + token for token in said]
    reading = read(tokens, FIRST, 1000)
    assert [(start, end) for start, end, _ in reading.parts] == parts
    assert reading.frames == frames


@pytest.mark.parametrize(
    ("no_speech", "logprob", "kept"), [(0.9, -1.5, 0), (0.9, -0.5, 1), (0.3, -1.5, 1)]
)
def test_what_is_likely_no_speech_is_left_out(no_speech: float, logprob: float, kept: int) -> None:
    tokenizer = get_tokenizer(True, language="en", task="transcribe")
    tokens = [FIRST, *tokenizer.encode(" hello"), FIRST + 50]
    one = Progress(Window(((SAMPLE_RATE, 6 * SAMPLE_RATE),)))
    result = DecodingResult(
        torch.zeros(0), "en", tokens=tokens, avg_logprob=logprob, no_speech_prob=no_speech
    )
    one.take(result, tokenizer, None)
    assert [(s["start"], s["end"], s["text"]) for s in one.segments] == [(1, 2, " hello")] * kept
    assert not one.unfinished


def test_what_says_nothing_or_comes_too_late_is_left_out() -> None:
    tokenizer = get_tokenizer(True, language="en", task="transcribe")
    hello, blank = tokenizer.encode(" hello"), tokenizer.encode(" ")
    ticks = [(0, blank, 50), (60, hello, 400), (420, hello, 450)]
    tokens = [t for start, said, end in ticks for t in (FIRST + start, *said, FIRST + end)]
    one = Progress(Window(((SAMPLE_RATE, 6 * SAMPLE_RATE),)))
    result = DecodingResult(
        torch.zeros(0), "en", tokens=tokens, avg_logprob=-0.5, no_speech_prob=0.0
    )
    one.take(result, tokenizer, None)
    assert [(s["start"], s["end"], s["text"]) for s in one.segments] == [(2.2, 6, " hello")]
