"""Where in a sound somebody speaks: Silero VAD, always on the CPU.

The weights come inside the `silero_vad` package.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ipc.frames import SAMPLE_RATE

# Speech goes on over gaps shorter than this, so that Whisper hears whole sentences, and keeps this
# much of the sound around it: both as faster-whisper sets them for the same purpose.
MIN_SILENCE_MS = 2000
SPEECH_PAD_MS = 400


class VoiceDetector:
    """Silero VAD, resident."""

    def __init__(self) -> None:
        # Importing silero_vad takes all threads but one from this whole process.
        with _one_thread(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
            from silero_vad import get_speech_timestamps, load_silero_vad

            self._net = load_silero_vad()
        self._timestamps = get_speech_timestamps

    def speech(self, sound: Tensor) -> list[tuple[int, int]]:
        """The [start, end) of each stretch of speech in (samples,) float32 sound, in samples."""
        with _one_thread():
            regions = self._timestamps(
                sound,
                self._net,
                sampling_rate=SAMPLE_RATE,
                min_silence_duration_ms=MIN_SILENCE_MS,
                speech_pad_ms=SPEECH_PAD_MS,
            )
        return [(region["start"], region["end"]) for region in regions]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give torch one thread: the net is too small to share out, and slows down when it is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
