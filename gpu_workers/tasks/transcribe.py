"""Transcription: Whisper, on the speech that Silero VAD finds, or on all of the audio.

With `vad_filter`, speech is packed into windows that are transcribed in parallel;
`gpu_workers.speech.batch_transcription` describes how the result differs. Without it, the result is
that of `whisper.transcribe(model, audio, temperature=0)`. The temperature is always 0: above it
Whisper samples, and the same request must give the same result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
import whisper
from torch import Tensor, nn
from whisper.tokenizer import LANGUAGES

from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.model_info import model_info
from gpu_workers.speech.batch_transcription import transcribe_windows
from gpu_workers.speech.packing import WINDOW_SAMPLES, Window, pack
from gpu_workers.speech.voice_activity import VoiceDetector
from ipc.arena import ArenaView
from ipc.messages import Audio, ModelInfo
from ipc.results import Segment, Transcript, Word

FULL_SCALE = 32_768.0  # as in `whisper.load_audio`


@dataclass(frozen=True)
class Speech:
    """(samples,) float32 from -1 to 1, and its windows of speech; None means all of the audio."""

    samples: Tensor
    windows: list[Window] | None


class Spec(msgspec.Struct, frozen=True):
    """`language` None means detection."""

    model_name: str
    language: str | None
    vad_filter: bool
    word_timestamps: bool = False


def load(spec: Spec, runtime: Runtime) -> Transcribe:
    """Load the Whisper checkpoint `spec.model_name` and Silero VAD; raises ModelUnavailable."""
    weights = runtime.weights.resolve(spec.model_name, "transcribe")
    # Whisper supports fp32, and fp16 on a GPU only.
    half = runtime.precision == "fp16" and runtime.device.type == "cuda"
    net = whisper.load_model(str(weights.path), device=runtime.device_name)
    heads = whisper._ALIGNMENT_HEADS.get(weights.path.stem)
    if heads is not None:  # `load_model` finds them by a model's name, not by its path
        net.set_alignment_heads(heads)
    if half:
        _halve(net)
    runtime = replace(runtime, precision="fp16" if half else "fp32")
    info = model_info(spec.model_name, weights, runtime, "openai-whisper", "silero-vad", "torch")
    return Transcribe(net, VoiceDetector(), info)


class Transcribe:
    """One Whisper model, and Silero VAD. Whisper's decoder supports one call at a time."""

    def __init__(self, net: whisper.Whisper, voice: VoiceDetector, info: ModelInfo) -> None:
        self._whisper = net
        self._voice = voice
        self._half = info.precision == "fp16"
        self.info = info

    def preprocess(self, spec: Spec, subject: Audio, arena: ArenaView) -> Speech:
        """Convert int16 audio to float32, and find the speech in it.

        Raises InvalidSpec if this model does not know `spec.language`.
        """
        self._check(spec.language)
        samples = torch.from_numpy(arena.audio(subject.ref).astype(np.float32) / FULL_SCALE)
        windows = None
        if spec.vad_filter:
            windows = pack(self._voice.speech(samples, WINDOW_SAMPLES))
        return Speech(samples.to(self._whisper.device), windows)

    @torch.inference_mode()
    def infer(self, spec: Spec, speech: Speech) -> dict[str, Any]:
        """Return `language` and `segments`, in the format of `whisper.transcribe`."""
        if len(speech.samples) == 0:
            return {"language": spec.language, "segments": []}
        if speech.windows is not None:
            return transcribe_windows(
                self._whisper,
                speech.samples,
                speech.windows,
                language=spec.language,
                word_timestamps=spec.word_timestamps,
                half=self._half,
            )
        result: dict[str, Any] = whisper.transcribe(
            self._whisper,
            speech.samples,
            temperature=0,
            language=spec.language,
            word_timestamps=spec.word_timestamps,
            fp16=self._half,
        )
        return result

    def postprocess(self, spec: Spec, subject: Audio, result: dict[str, Any]) -> Transcript:
        """Shift the segments to their time in the video; confidence is the tokens' mean one."""
        start_ms = subject.ref.start_ms
        segments = [
            Segment(
                start_ms=round(start_ms + segment["start"] * 1000),
                end_ms=round(start_ms + segment["end"] * 1000),
                text=segment["text"],
                confidence=round(min(1.0, math.exp(segment["avg_logprob"])), 4),
                words=_words(segment["words"], start_ms) if spec.word_timestamps else None,
            )
            for segment in result["segments"]
        ]
        return Transcript(result["language"], segments)

    def _check(self, language: str | None) -> None:
        known = ["en"]
        if self._whisper.is_multilingual:
            known = list(LANGUAGES)[: self._whisper.num_languages]
        if language is not None and language not in known:
            raise InvalidSpec(
                "language",
                f"{self.info.model_name} cannot transcribe {language}; "
                f"allowed are {', '.join(known)}.",
            )


def _halve(net: nn.Module) -> None:
    """Convert to fp16 the weights that Whisper would otherwise convert in every step."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d):
            layer.half()


def _words(words: list[dict[str, Any]], start_ms: float) -> list[Word]:
    return [
        Word(
            start_ms=round(start_ms + float(word["start"]) * 1000),
            end_ms=round(start_ms + float(word["end"]) * 1000),
            text=word["word"],
            confidence=round(float(word["probability"]), 4),
        )
        for word in words
    ]
