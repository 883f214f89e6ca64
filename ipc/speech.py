"""The steps of a transcription: what the front asks a worker for, and what the worker returns.

The front keeps all state between steps, as plain data; so any worker can run the next step.
Positions are samples at 16 kHz, counted from the start of the analysed audio.
"""

from __future__ import annotations

import msgspec

from ipc.results import Segment

VOICE_FRAME_SAMPLES = 512  # of each speech probability

Region = tuple[int, int]  # [start, end) in samples


class VoiceState(msgspec.Struct, frozen=True):
    """What voice detection keeps from one stretch of audio to the next: float32 values."""

    hidden: bytes
    cell: bytes
    tail: bytes  # the last samples


class SpeechWindow(msgspec.Struct, frozen=True):
    """Speech of at most 30 s, and how much of it Whisper has read: `done` in frames of 10 ms."""

    number: int
    stretches: tuple[Region, ...]
    done: int = 0
    last_word_s: float = 0.0


class Position(msgspec.Struct, frozen=True):
    """Where `whisper.transcribe` is between two windows: `seek` in frames of 10 ms.

    `prompt` has the last tokens of the text so far.
    """

    seek: int = 0
    prompt: tuple[int, ...] = ()
    last_speech_s: float = 0.0


# Steps.


class FindVoice(msgspec.Struct, frozen=True, tag=True):
    """Compute the speech probability of each frame of the audio, which is at `start`."""

    start: int
    state: VoiceState | None


class PackSpeech(msgspec.Struct, frozen=True, tag=True):
    """Find the speech in `samples` of audio by its float32 probabilities; pack it into windows."""

    chances: bytes
    samples: int


class ReadWindows(msgspec.Struct, frozen=True, tag=True):
    """Transcribe once what is left of each window; the audio is that of all windows, in order."""

    windows: tuple[SpeechWindow, ...]


class FindLoudest(msgspec.Struct, frozen=True, tag=True):
    """Find the largest value of the spectrogram in `frames` frames, the first one at `start`.

    The audio begins `before` samples earlier.
    """

    start: int
    before: int
    frames: int


class ReadNext(msgspec.Struct, frozen=True, tag=True):
    """Transcribe the next window of all of the audio, which has `samples`.

    The audio begins `before` samples before the window. `loudest` is that of the whole spectrogram.
    """

    position: Position
    before: int
    samples: int
    loudest: float


Step = FindVoice | PackSpeech | ReadWindows | FindLoudest | ReadNext


# Results.


class VoiceFound(msgspec.Struct, frozen=True, tag=True):
    """Float32 probabilities of the frames at `start`; `end` as in `LoudestFound`."""

    start: int
    end: int
    chances: bytes
    state: VoiceState


class SpeechPacked(msgspec.Struct, frozen=True, tag=True):
    """All windows with speech."""

    windows: list[SpeechWindow]


class WindowRead(msgspec.Struct, frozen=True):
    """A window after one more step, and the segments that this step found."""

    window: SpeechWindow
    finished: bool
    segments: list[Segment]


class WindowsRead(msgspec.Struct, frozen=True, tag=True):
    """The windows of a step, and their language (ISO 639-1)."""

    language: str
    windows: list[WindowRead]


class LoudestFound(msgspec.Struct, frozen=True, tag=True):
    """The largest value of the spectrogram; `end` is where the step's audio ends, 0 for none."""

    loudest: float
    end: int


class NextRead(msgspec.Struct, frozen=True, tag=True):
    """The segments of the next window, and where the one after it begins."""

    language: str
    position: Position
    segments: list[Segment]


StepResult = VoiceFound | SpeechPacked | WindowsRead | LoudestFound | NextRead
