"""Progress of one speech window through Whisper: the remaining frames and the segments so far.

The steps are those of the loop in `whisper.transcribe`, for a single window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import whisper
from torch import Tensor
from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH, N_FFT
from whisper.decoding import DecodingResult
from whisper.utils import get_end

from gpu_workers.speech.packing import PAD_SAMPLES, Window
from ipc.arena import SAMPLE_RATE

# As in `whisper.transcribe`.
NO_SPEECH_THRESHOLD = 0.6
LOGPROB_THRESHOLD = -1.0

TICK_S = 0.02  # the unit of Whisper's timestamps
TICK_FRAMES = 2
FRAME_SAMPLES: int = HOP_LENGTH
SHORTEST_REST_FRAMES = PAD_SAMPLES // FRAME_SAMPLES


class Reading(NamedTuple):
    """Parsed tokens: parts as (start, end, tokens) in ticks, and the number of frames consumed."""

    parts: Sequence[tuple[float, float, list[int]]]
    frames: int
    complete: bool


def read(tokens: list[int], first_timestamp: int, frames: int) -> Reading:
    """Split Whisper's tokens for a window of `frames` at pairs of timestamps.

    Tokens after the last pair are left for the next pass, unless a single timestamp ends them.
    Without any pair, all tokens form one part.
    """
    stamped = [token >= first_timestamp for token in tokens]
    complete = stamped[-2:] == [False, True]
    cuts = [i for i, pair in enumerate(pairwise(stamped), 1) if all(pair)]
    if not cuts:
        stamps = [token - first_timestamp for token in tokens if token >= first_timestamp]
        end = stamps[-1] if stamps and stamps[-1] > 0 else frames / TICK_FRAMES
        return Reading([(0, end, tokens)], frames, complete)
    if complete:
        cuts.append(len(tokens))
    parts = [
        (tokens[i] - first_timestamp, tokens[j - 1] - first_timestamp, tokens[i:j])
        for i, j in pairwise([0, *cuts])
    ]
    return Reading(parts, frames if complete else parts[-1][1] * TICK_FRAMES, complete)


def is_silent(result: DecodingResult) -> bool:
    """Whether a window has probably no speech."""
    unlikely: bool = result.avg_logprob <= LOGPROB_THRESHOLD
    return unlikely and result.no_speech_prob > NO_SPEECH_THRESHOLD


def segments_of(
    reading: Reading, result: DecodingResult, tokenizer: Any, seek: int
) -> list[dict[str, Any]]:
    """The parts of a result for the rest from `seek` on, as `whisper.transcribe` has them."""
    offset_s = seek / FRAMES_PER_SECOND
    return [
        {
            "seek": seek,
            "start": offset_s + start * TICK_S,
            "end": offset_s + end * TICK_S,
            "text": tokenizer.decode([token for token in tokens if token < tokenizer.eot]),
            "tokens": tokens,
            "avg_logprob": result.avg_logprob,
        }
        for start, end, tokens in reading.parts
    ]


def after_last_word(reading: Reading, seek: int, last_word_s: float) -> int:
    """Continue after the last word instead of the last segment, unless that is complete."""
    after: int = round(last_word_s * FRAMES_PER_SECOND)
    if reading.complete or after <= seek:
        return seek + reading.frames
    return after


@dataclass
class Progress:
    """Progress of a window: `done` in frames of 10 ms, and the segments so far."""

    window: Window
    done: int = 0
    last_word_s: float = 0.0
    segments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """The number of remaining frames."""
        return self.window.samples // FRAME_SAMPLES - self.done

    @property
    def unfinished(self) -> bool:
        """Whether speech may remain."""
        return self.left > SHORTEST_REST_FRAMES

    def mel(self, samples: Tensor, n_mels: int) -> Tensor:
        """The spectrogram of the rest, (n_mels, frames), normalised over the whole window.

        `samples` are those of the whole window.
        """
        mel: Tensor = whisper.log_mel_spectrogram(samples, n_mels, padding=N_FFT)
        return mel[:, self.done : self.done + self.left]

    def take(
        self, result: DecodingResult, tokenizer: Any, align: Callable[..., None] | None
    ) -> None:
        """Add Whisper's result for the rest; `align` adds words to segments in place."""
        if is_silent(result):
            self.done += self.left
            return
        reading = read(result.tokens, tokenizer.timestamp_begin, self.left)
        segments = segments_of(reading, result, tokenizer, self.done)
        if align is None:
            self.done += reading.frames
        else:
            align(segments=segments, num_frames=self.left, last_speech_timestamp=self.last_word_s)
            self.last_word_s = float(get_end(segments))
            self.done = after_last_word(reading, self.done, self.last_word_s)
        for segment in segments:
            self._keep(segment)

    def _keep(self, segment: dict[str, Any]) -> None:
        """Add a segment, in seconds of the audio, if it has text and starts within the window."""
        start, end = segment["start"], segment["end"]
        if start == end or not segment["text"].strip():
            return
        if start * SAMPLE_RATE >= self.window.samples:
            return
        start, end = self.window.span(start, end)
        words = [self._placed(word) for word in segment.get("words", [])]
        if words:
            start, end = words[0]["start"], words[-1]["end"]
        self.segments.append(segment | {"start": start, "end": end, "words": words})

    def _placed(self, word: dict[str, Any]) -> dict[str, Any]:
        start, end = self.window.word(word["start"], word["end"])
        return word | {"start": start, "end": end}
