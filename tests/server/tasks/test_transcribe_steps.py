"""The steps of a transcription: none depends on when results arrive, or on how many are out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.arena import SAMPLE_RATE
from ipc.results import Segment
from ipc.speech import (
    VOICE_FRAME_SAMPLES,
    FindVoice,
    PackSpeech,
    ReadWindows,
    SpeechPacked,
    SpeechWindow,
    VoiceFound,
    VoiceState,
    WindowRead,
    WindowsRead,
)
from server.tasks.transcribe_steps import (
    LONGEST_SPAN_SAMPLES,
    VOICE_SAMPLES,
    WINDOWS_AT_ONCE,
    Filtered,
)

MINUTE = 60 * SAMPLE_RATE
NO_STATE = VoiceState(b"", b"", b"")


def packed(starts: list[int]) -> Filtered:
    """Windows of 30 s that begin at these samples, ready to be read."""
    steps = Filtered(heard=1, packing=True)
    windows = [SpeechWindow(i, ((at, at + MINUTE // 2),)) for i, at in enumerate(starts)]
    steps.add(SpeechPacked(windows))
    return steps


def batches(passes: list[int], workers: int) -> tuple[list[list[int]], list[str]]:
    """The windows of each step, and the texts in order; each window takes so many passes."""
    steps, left = packed([i * MINUTE for i in range(len(passes))]), list(passes)
    out: list[ReadWindows] = []
    sent: list[list[int]] = []
    texts: list[str] = []
    while True:
        asked = steps.next(len(out), "en", 1) if len(out) < workers else None
        if asked is not None:
            assert isinstance(asked[1], ReadWindows)
            out.append(asked[1])
            sent.append([window.number for window in asked[1].windows])
            continue
        if not out:
            return sent, texts
        read = []
        for window in out.pop(0).windows:
            left[window.number] -= 1
            said = [Segment(0, 1, f"{window.number}-{left[window.number]}", 1.0)]
            read.append(WindowRead(window, left[window.number] == 0, said))
        texts += [segment.text for segment in steps.add(WindowsRead("en", read))]


@given(st.lists(st.integers(1, 4), max_size=40), st.integers(2, 9))
def test_the_number_of_workers_changes_no_step(passes: list[int], workers: int) -> None:
    sent, texts = batches(passes, 1)
    assert batches(passes, workers) == (sent, texts)
    assert texts == [f"{i}-{n}" for i, count in enumerate(passes) for n in reversed(range(count))]
    assert all(len(numbers) <= WINDOWS_AT_ONCE for numbers in sent)
    if len(passes) >= WINDOWS_AT_ONCE:
        assert sent[0] == list(range(WINDOWS_AT_ONCE))


def test_windows_far_apart_share_no_step() -> None:
    steps = packed([0, MINUTE, LONGEST_SPAN_SAMPLES, LONGEST_SPAN_SAMPLES + MINUTE])
    found = [steps.next(0, "en", 1) for _ in range(2)]
    assert [len(asked[0]) for asked in found if asked is not None] == [2, 2]


def test_one_step_at_a_time_until_the_language_is_known() -> None:
    steps = packed([i * MINUTE // 2 for i in range(20)])
    assert steps.next(0, None, 1) is not None
    assert steps.next(1, None, 1) is None
    assert steps.next(1, "de", 1) is not None


@pytest.mark.parametrize("missing", [0, 1])
def test_all_of_the_audio_is_heard_before_speech_is_packed(missing: int) -> None:
    """Where a damaged file has no audio, nobody speaks."""
    samples = 3 * VOICE_SAMPLES
    steps = Filtered()
    for number in range(3):
        asked = steps.next(0, None, samples)
        assert asked is not None
        (stretch,), step = asked
        assert isinstance(step, FindVoice)
        assert stretch == (number * VOICE_SAMPLES, (number + 1) * VOICE_SAMPLES)
        assert steps.next(1, None, samples) is None
        empty = number == missing
        chances = b"" if empty else b"\xff" * (VOICE_SAMPLES // VOICE_FRAME_SAMPLES * 4)
        steps.add(VoiceFound(stretch[0], 0 if empty else stretch[1], chances, NO_STATE))
    asked = steps.next(0, None, samples)
    assert asked is not None
    assert isinstance(asked[1], PackSpeech)
    of_one = VOICE_SAMPLES // VOICE_FRAME_SAMPLES * 4
    assert asked[1].samples == samples
    assert asked[1].chances.count(b"\xff") == 2 * of_one
    assert asked[1].chances[missing * of_one : (missing + 1) * of_one] == bytes(of_one)
