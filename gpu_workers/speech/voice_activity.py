"""Where in a sound somebody speaks: Silero VAD, always on the CPU.

The weights come inside the `silero_vad` package. Its own loop calls the net once for every 32 ms;
here the same layers take half a minute at a time, which costs a sixteenth. Only the LSTM goes step
by step, and torch's does that in one call.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ipc.arena import SAMPLE_RATE

# The net hears frames of 32 ms, each with the last 4 ms of the one before it.
FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
FRAMES_AT_ONCE = 1024

# Speech goes on over gaps shorter than this, so that Whisper hears whole sentences, and keeps this
# much of the sound around it: both as faster-whisper sets them for the same purpose.
MIN_SILENCE_MS = 2000
SPEECH_PAD_MS = 400

# A place to cut at is quiet for about 0.3 s: within a word, a single frame may be, too.
QUIET_FRAMES = 9

Region = tuple[int, int]


class VoiceDetector:
    """Silero VAD, resident."""

    def __init__(self) -> None:
        # Importing silero_vad takes all threads but one from this whole process.
        with _one_thread(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
            from silero_vad import get_speech_timestamps_from_probs, load_silero_vad

            self._net = load_silero_vad()._model
        self._lstm = _sequence_of(self._net.decoder.rnn)
        self._timestamps = get_speech_timestamps_from_probs

    def speech(self, sound: Tensor, longest: int) -> list[Region]:
        """The [start, end) of each stretch of speech in (samples,) float32 sound, in samples.

        What is longer than `longest` samples is cut in the last third of these, where speech is
        least likely: the "cut" of WhisperX (Bain et al., 2023). No piece is left very short.
        """
        chances = self.chances(sound)
        regions = self._timestamps(
            chances.tolist(),
            sampling_rate=SAMPLE_RATE,
            min_silence_duration_ms=MIN_SILENCE_MS,
            speech_pad_ms=SPEECH_PAD_MS,
            audio_length_samples=len(sound),
        )
        return [
            piece
            for region in regions
            for piece in _cut(region["start"], region["end"], chances, longest)
        ]

    @torch.inference_mode()
    def chances(self, sound: Tensor) -> NDArray[np.float32]:
        """How likely each frame of (samples,) float32 sound is speech, (frames,) from 0 to 1."""
        if len(sound) == 0:
            return np.zeros(0, np.float32)
        missing = -len(sound) % FRAME_SAMPLES
        padded = nn.functional.pad(sound, (CONTEXT_SAMPLES, missing))
        frames = padded.unfold(0, CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)
        parts, state = [], None
        with _one_thread():
            for block in torch.split(frames, FRAMES_AT_ONCE):
                heard = self._net.encoder(self._net.run_extractors(block))
                hidden, state = self._lstm(heard.squeeze(-1), state)
                parts.append(self._net.decoder.decoder(hidden.unsqueeze(-1)).flatten())
        return torch.cat(parts).numpy()


def _sequence_of(cell: Any) -> nn.LSTM:
    """Make of an LSTM cell the layer that takes a whole sequence."""
    lstm = nn.LSTM(cell.weight_ih.shape[1], cell.weight_hh.shape[1])
    lstm.load_state_dict({f"{name}_l0": value for name, value in cell.named_parameters()})
    return lstm


def _cut(start: int, end: int, chances: NDArray[np.float32], longest: int) -> Iterator[Region]:
    while end - start > longest:
        first = (start + longest * 2 // 3) // FRAME_SAMPLES
        last = min(start + longest, end - longest // 6) // FRAME_SAMPLES
        around = chances[first - QUIET_FRAMES // 2 : last + QUIET_FRAMES // 2]
        speaking = np.convolve(around, np.ones(QUIET_FRAMES), "valid")
        cut = (first + int(speaking.argmin())) * FRAME_SAMPLES + FRAME_SAMPLES // 2
        yield start, cut
        start = cut
    yield start, end


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give torch one thread: the net is too small to share out, and slows down when it is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
