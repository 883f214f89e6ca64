"""Whisper's spectrogram of a part of the audio, with the values that it has in that of all."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from whisper.audio import HOP_LENGTH, N_FFT, mel_filters

REACH_SAMPLES: int = N_FFT // 2  # a frame has this much audio on each side of its centre
DYNAMIC_RANGE = 8.0  # in powers of ten


def log_mel(audio: Tensor, before: int, frames: int, n_mels: int) -> Tensor:
    """Logarithms of (n_mels, frames) of (samples,) audio, not yet normalised.

    The first frame is centred at sample `before`. If this is less than REACH_SAMPLES, the audio
    begins there, and is mirrored; after its end, it is silent.
    """
    needed = before + (frames - 1) * HOP_LENGTH + REACH_SAMPLES
    known = functional.pad(audio[:needed], (0, max(0, needed - len(audio))))
    if before < REACH_SAMPLES:
        known = functional.pad(known[None], (REACH_SAMPLES - before, 0), mode="reflect")[0]
    else:
        known = known[before - REACH_SAMPLES :]
    window = torch.hann_window(N_FFT, device=audio.device)
    spectrum = torch.stft(
        known, N_FFT, HOP_LENGTH, window=window, center=False, return_complex=True
    )
    mel: Tensor = mel_filters(audio.device, n_mels) @ spectrum.abs() ** 2
    return mel.clamp(min=1e-10).log10()


def normalised(log_mel: Tensor, loudest: float) -> Tensor:
    """The network's input, given the largest logarithm of all of the audio."""
    return (log_mel.clamp(min=loudest - DYNAMIC_RANGE) + 4.0) / 4.0
