"""The library's loop for transcription: `whisper.transcribe`, which has no voice detection."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import whisper

from bench.compare.library_loops import DEVICE
from bench.compare.media import sound
from bench.compare.rounds import Item

RATE = 16_000


class WhisperLoop:
    """With `settings`, the library's defaults are changed."""

    def __init__(self, model: whisper.Whisper, **settings: Any) -> None:
        self._model = model
        self._settings = settings

    def warm_up(self, media: Path) -> None:
        """Transcribe a second of silence."""
        self._transcribe(np.zeros(RATE, np.float32))

    def run(self, media: Path) -> list[Item]:
        """The text of all the audio."""
        return [{"text": self._transcribe(sound(media, RATE))["text"]}]

    def _transcribe(self, samples: Any) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "FP16 is not supported on CPU", UserWarning)
            result: dict[str, Any] = whisper.transcribe(self._model, samples, **self._settings)
        return result


def load(path: Path) -> whisper.Whisper:
    """The model, on the device."""
    return whisper.load_model(str(path), device=DEVICE)
