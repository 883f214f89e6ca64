"""The steps of a transcription: which one is next, and the fold of their results.

Which step is next depends on the results so far, never on when they arrived.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ipc.arena import SAMPLE_RATE
from ipc.results import Segment
from ipc.speech import (
    VOICE_FRAME_SAMPLES,
    FindLoudest,
    FindVoice,
    LoudestFound,
    NextRead,
    PackSpeech,
    Position,
    ReadNext,
    ReadWindows,
    SpeechPacked,
    SpeechWindow,
    VoiceFound,
    VoiceState,
    WindowsRead,
)
from server.tasks.task import Stretch

Asked = tuple[tuple[Stretch, ...], FindVoice | PackSpeech | ReadWindows | FindLoudest | ReadNext]

VOICE_SAMPLES = 4096 * VOICE_FRAME_SAMPLES  # 131 s
# Constant, so that results do not depend on load; the same as faster-whisper. Twice as many take
# 5 % less time on a CPU.
WINDOWS_AT_ONCE = 8
# Windows further apart share no step: the audio between them may have to be decoded, too.
LONGEST_SPAN_SAMPLES = 15 * 60 * SAMPLE_RATE

LOUDEST_SAMPLES = 120 * SAMPLE_RATE
WINDOW_SAMPLES = 30 * SAMPLE_RATE
HOP_SAMPLES = 160  # from a frame of Whisper's spectrogram to the next
REACH_SAMPLES = 200  # on each side of a frame's centre
SILENCE = -10.0  # log10 of the smallest value in Whisper's spectrogram


class Filtered(msgspec.Struct):
    """Transcription of the speech only.

    Voice detection runs over all of the audio, stretch by stretch; then speech is packed into
    windows; then these are read, several in one step. A step reads what is left of a window once:
    a window that is not finished is put at the end of those that wait.
    """

    heard: int = 0
    samples: int = 0
    voice: VoiceState | None = None
    chances: bytearray = bytearray()
    packing: bool = False
    packed: bool = False
    waiting: list[SpeechWindow] = []
    segments: list[list[Segment]] = []
    finished: list[bool] = []
    complete: int = 0

    def next(self, out: int, language: str | None, samples: int) -> Asked | None:
        """The next step, if it does not depend on the `out` results that have not arrived."""
        if out and (not self.packed or language is None):
            return None
        if self.heard < samples:
            start, self.heard = self.heard, min(self.heard + VOICE_SAMPLES, samples)
            return ((start, self.heard),), FindVoice(start, self.voice)
        if self.heard and not self.packing:
            self.packing = True
            return (), PackSpeech(bytes(self.chances), self.samples)
        if not self.waiting or (out and len(self.waiting) < WINDOWS_AT_ONCE):
            return None
        batch = _near(self.waiting[:WINDOWS_AT_ONCE])
        del self.waiting[: len(batch)]
        stretches = tuple(stretch for window in batch for stretch in window.stretches)
        return stretches, ReadWindows(tuple(batch))

    def add(self, result: VoiceFound | SpeechPacked | WindowsRead) -> list[Segment]:
        """Fold in the next result; return the segments of the windows that are now complete."""
        match result:
            case VoiceFound():
                self._hear(result)
            case SpeechPacked():
                self.packed = True
                self.chances.clear()
                self.waiting = list(result.windows)
                self.segments = [[] for _ in result.windows]
                self.finished = [False] * len(result.windows)
            case WindowsRead():
                for read in result.windows:
                    self.segments[read.window.number] += read.segments
                    self.finished[read.window.number] = read.finished
                self.waiting += [read.window for read in result.windows if not read.finished]
        return self._completed()

    def _hear(self, result: VoiceFound) -> None:
        if result.chances:
            missing = result.start // VOICE_FRAME_SAMPLES * 4 - len(self.chances)
            self.chances += bytes(missing)  # 0.0: a damaged file may have no audio there
            self.chances += result.chances
        self.voice = result.state
        self.samples = max(self.samples, result.end)

    def _completed(self) -> list[Segment]:
        items: list[Segment] = []
        while self.complete < len(self.finished) and self.finished[self.complete]:
            items += self.segments[self.complete]
            self.segments[self.complete] = []
            self.complete += 1
        return items


class Whole(msgspec.Struct):
    """Transcription of all audio, as by `whisper.transcribe`: one window after the other.

    Whisper's spectrogram is relative to its largest value, so the first steps find this.
    """

    measured: int = 0
    samples: int = 0
    loudest: float = SILENCE
    position: Position = Position()

    def next(self, out: int, samples: int) -> Asked | None:
        """The next step, if it does not depend on the `out` results that have not arrived."""
        if out:
            return None
        if self.measured < samples:
            return self._measure(samples)
        start = self.position.seek * HOP_SAMPLES
        if self.position.seek >= self.samples // HOP_SAMPLES:
            return None
        stretch = _around(start, start + WINDOW_SAMPLES, self.samples)
        step = ReadNext(self.position, start - stretch[0], self.samples, self.loudest)
        return (stretch,), step

    def add(self, result: LoudestFound | NextRead) -> Sequence[Segment]:
        """Fold in the next result; return its segments."""
        if isinstance(result, NextRead):
            self.position = result.position
            return result.segments
        self.loudest = max(self.loudest, result.loudest)
        self.samples = max(self.samples, result.end)
        return []

    def _measure(self, samples: int) -> Asked:
        start, end = self.measured, min(self.measured + LOUDEST_SAMPLES, samples)
        self.measured = end
        stretch = _around(start, end, samples)
        frames = -(-(end - start) // HOP_SAMPLES)
        if end == samples:
            frames += 2  # they reach back into the audio
        return (stretch,), FindLoudest(start, start - stretch[0], frames)


def _near(windows: list[SpeechWindow]) -> list[SpeechWindow]:
    """The first windows that are not too far apart."""
    low, high = windows[0].stretches[0][0], 0
    for count, window in enumerate(windows):
        low, high = min(low, window.stretches[0][0]), max(high, window.stretches[-1][1])
        if count and high - low > LONGEST_SPAN_SAMPLES:
            return windows[:count]
    return windows


def _around(start: int, end: int, samples: int) -> Stretch:
    """The audio of the spectrogram's frames from `start` to `end`."""
    return max(0, start - REACH_SAMPLES), min(end + REACH_SAMPLES, samples)
