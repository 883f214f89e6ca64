"""A recording with long pauses."""

from __future__ import annotations

from pathlib import Path

from bench.clips.encoding import encode_sound
from bench.clips.sound import speech

Stretch = tuple[float, float]  # start and end in s

SPEECH_S, PAUSE_S = 25, 50  # a third of the time is speech


def stretches(seconds: int) -> list[Stretch]:
    """The speech regions of a recording of that length."""
    starts = range(0, seconds, SPEECH_S + PAUSE_S)
    return [(start, min(start + SPEECH_S, seconds)) for start in starts]


def make_talk(path: Path, seconds: int) -> None:
    """Write the recording as an audio-only MP4."""
    spoken = stretches(seconds)
    starts = [start for start, _ in spoken[1:]]
    pauses = list(zip([end for _, end in spoken], [*starts, seconds], strict=True))
    encode_sound(path, speech(seconds, 4, pauses))
