"""Real audio, in the decoder's format."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import torch


def read_audio(path: Path) -> np.ndarray:
    """The first audio stream of a file as (samples,) int16, mono at 16 kHz."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(str(path)) as container:
        frames = [*container.decode(audio=0), None]  # None flushes the resampler
    parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(parts)


def silence(seconds: float) -> np.ndarray:
    """(samples,) int16, all zero, at 16 kHz."""
    return np.zeros(round(seconds * 16_000), np.int16)


def as_whisper(audio: np.ndarray) -> torch.Tensor:
    """Convert int16 samples to the format of `whisper.load_audio`: float32 from -1 to 1."""
    return torch.from_numpy(audio.astype(np.float32) / 32_768)
