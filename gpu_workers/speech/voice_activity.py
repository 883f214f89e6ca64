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
from ipc.speech import VOICE_FRAME_SAMPLES, Region, VoiceState

# The network's input is a 32 ms frame, preceded by the last 4 ms of the previous one.
FRAME_SAMPLES = VOICE_FRAME_SAMPLES
CONTEXT_SAMPLES = 64
FRAMES_AT_ONCE = 1024
WIDTH = 128  # of the LSTM

# Gaps shorter than this do not end a region, so that Whisper gets whole sentences; each region is
# padded by this much audio. Both values are faster-whisper's.
MIN_SILENCE_MS = 2000
SPEECH_PAD_MS = 400

# Cut where about 0.3 s are quiet: a single frame may be quiet within a word.
QUIET_FRAMES = 9


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

    def regions(self, chances: NDArray[np.float32], samples: int, longest: int) -> list[Region]:
        """The [start, end) of each speech region in `samples` of audio, given its `chances`.

        A region longer than `longest` samples is cut in the last third of these, where speech is
        least likely: the "cut" of WhisperX (Bain et al., 2023). No piece is very short.
        """
        regions = self._timestamps(
            chances.tolist(),
            sampling_rate=SAMPLE_RATE,
            min_silence_duration_ms=MIN_SILENCE_MS,
            speech_pad_ms=SPEECH_PAD_MS,
            audio_length_samples=samples,
        )
        return [
            piece
            for region in regions
            for piece in _cut(region["start"], region["end"], chances, longest)
        ]

    @torch.inference_mode()
    def chances(
        self, audio: Tensor, state: VoiceState | None = None
    ) -> tuple[NDArray[np.float32], VoiceState]:
        """Speech probability of each frame of (samples,) float32 audio, (frames,) from 0 to 1.

        `state` continues after other audio, of whole frames; the second result is the next state.
        """
        before, memory = _restored(state)
        missing = -len(audio) % FRAME_SAMPLES
        padded = nn.functional.pad(torch.cat([before, audio]), (0, missing))
        if len(audio) == 0:
            return np.zeros(0, np.float32), _saved(padded, memory)
        frames = padded.unfold(0, CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)
        parts = []
        with _one_thread():
            for block in torch.split(frames, FRAMES_AT_ONCE):
                features = self._net.encoder(self._net.run_extractors(block))
                hidden, memory = self._lstm(features.squeeze(-1), memory)
                parts.append(self._net.decoder.decoder(hidden.unsqueeze(-1)).flatten())
        return torch.cat(parts).numpy(), _saved(padded[-CONTEXT_SAMPLES:], memory)


def _restored(state: VoiceState | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The last samples, and the LSTM's memory; zeros at the start."""
    if state is None:
        return torch.zeros(CONTEXT_SAMPLES), (torch.zeros(1, WIDTH), torch.zeros(1, WIDTH))
    tail, hidden, cell = (
        torch.from_numpy(np.frombuffer(values, np.float32).copy())
        for values in (state.tail, state.hidden, state.cell)
    )
    return tail, (hidden[None], cell[None])


def _saved(tail: Tensor, memory: tuple[Tensor, Tensor]) -> VoiceState:
    hidden, cell, tail_bytes = (part.numpy().tobytes() for part in (*memory, tail))
    return VoiceState(hidden, cell, tail_bytes)


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
