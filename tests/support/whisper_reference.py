"""`whisper.transcribe` as the reference, on the same audio with the same weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import whisper

from ipc.results import Segment


def expected(net: whisper.Whisper, audio: np.ndarray, **options: Any) -> list[dict[str, Any]]:
    samples = audio.astype(np.float32) / 32_768
    options.setdefault("language", "en")
    return whisper.transcribe(net, samples, temperature=0, fp16=False, **options)["segments"]


def assert_same(
    items: list[Segment], wanted: list[dict[str, Any]], start_ms: float, least: int = 10
) -> None:
    """The segments are Whisper's; there are at least so many."""
    assert len(items) == len(wanted) >= least
    for item, segment in zip(items, wanted, strict=True):
        assert item.text == segment["text"]
        assert item.start_ms == round(start_ms + segment["start"] * 1000)
        assert item.end_ms == round(start_ms + segment["end"] * 1000)
        assert item.confidence == pytest.approx(math.exp(segment["avg_logprob"]), abs=1e-4)


def assert_same_words(items: list[Segment], segments: list[dict[str, Any]]) -> None:
    """The words of all segments are Whisper's; at least ten."""
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
