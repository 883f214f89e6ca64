"""Voice activity detection with Silero VAD, always on the CPU.

The weights come with the `silero_vad` package. Its own loop calls the network once per 32 ms; here
the same layers process half a minute per call, which takes a sixteenth of the time. Only the LSTM
is sequential, and torch runs the whole sequence in one call.
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

# The network's input is a 32 ms frame, preceded by the last 4 ms of the previous one.
FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
FRAMES_AT_ONCE = 1024

# Gaps shorter than this do not end a region, so that Whisper gets whole sentences; each region is
# padded by this much audio. Both values are faster-whisper's.
MIN_SILENCE_MS = 2000
SPEECH_PAD_MS = 400

# Cut where about 0.3 s are quiet: a single frame may be quiet within a word.
QUIET_FRAMES = 9

Region = tuple[int, int]


class VoiceDetector:
    """Silero VAD, resident in memory."""

    def __init__(self) -> None:
        # Importing silero_vad sets torch to one thread for the whole process.
        with _one_thread(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
            from silero_vad import get_speech_timestamps_from_probs, load_silero_vad

            self._net = load_silero_vad()._model
        self._lstm = _sequence_of(self._net.decoder.rnn)
        self._timestamps = get_speech_timestamps_from_probs

    def speech(self, audio: Tensor, longest: int) -> list[Region]:
        """Find the [start, end) of each speech region in (samples,) float32 audio, in samples.

        A region longer than `longest` samples is cut in the last third of these, where speech is
        least likely: the "cut" of WhisperX (Bain et al., 2023). No piece is very short.
        """
        chances = self.chances(audio)
        regions = self._timestamps(
            chances.tolist(),
            sampling_rate=SAMPLE_RATE,
            min_silence_duration_ms=MIN_SILENCE_MS,
            speech_pad_ms=SPEECH_PAD_MS,
            audio_length_samples=len(audio),
        )
        return [
            piece
            for region in regions
            for piece in _cut(region["start"], region["end"], chances, longest)
        ]

    @torch.inference_mode()
    def chances(self, audio: Tensor) -> NDArray[np.float32]:
        """Speech probability of each frame of (samples,) float32 audio, (frames,) from 0 to 1."""
        if len(audio) == 0:
            return np.zeros(0, np.float32)
        missing = -len(audio) % FRAME_SAMPLES
        padded = nn.functional.pad(audio, (CONTEXT_SAMPLES, missing))
        frames = padded.unfold(0, CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)
        parts, state = [], None
        with _one_thread():
            for block in torch.split(frames, FRAMES_AT_ONCE):
                features = self._net.encoder(self._net.run_extractors(block))
                hidden, state = self._lstm(features.squeeze(-1), state)
                parts.append(self._net.decoder.decoder(hidden.unsqueeze(-1)).flatten())
        return torch.cat(parts).numpy()


def _sequence_of(cell: Any) -> nn.LSTM:
    """Convert an LSTM cell to the layer that processes a whole sequence."""
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
    """Limit torch to one thread: more threads slow down such a small network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
