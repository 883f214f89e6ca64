"""Transcription: Whisper, on the speech that Silero VAD finds, or on all of the audio.

A message has one step of a transcription (`ipc.speech`). With `vad_filter`, speech is packed into
windows that are transcribed in parallel; `gpu_workers.speech.batch_transcription` describes how the
result differs. Without it, the result is that of `whisper.transcribe(model, audio, temperature=0)`.
The temperature is always 0: above it Whisper samples, and the same request must give the same
result.
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
from gpu_workers.speech.batch_transcription import read_windows
from gpu_workers.speech.packing import WINDOW_SAMPLES, Window, pack
from gpu_workers.speech.spectrogram import log_mel
from gpu_workers.speech.voice_activity import VoiceDetector
from gpu_workers.speech.whole_transcription import read_next
from gpu_workers.speech.window_progress import Progress
from gpu_workers.tensors import only_tensors
from ipc.arena import ArenaView
from ipc.messages import ModelInfo
from ipc.results import Segment, Word
from ipc.speech import (
    FindLoudest,
    FindVoice,
    LoudestFound,
    NextRead,
    PackSpeech,
    ReadNext,
    ReadWindows,
    SpeechPacked,
    SpeechWindow,
    Step,
    StepResult,
    VoiceFound,
    WindowRead,
    WindowsRead,
)
from ipc.subjects import Audio

FULL_SCALE = 32_768.0  # as in `whisper.load_audio`


@dataclass(frozen=True)
class Heard:
    """(samples,) float32 from -1 to 1; only the first `present` of them are in the file."""

    samples: Tensor
    present: int

    def end(self, start: int) -> int:
        """Where the audio ends so far, if this begins at `start`; 0 if it is past the end."""
        return start + self.present if self.present else 0


class Spec(msgspec.Struct, frozen=True):
    """`language` None means detection; `step` None only loads the model."""

    model_name: str
    language: str | None
    word_timestamps: bool = False
    step: Step | None = None


def load(spec: Spec, runtime: Runtime) -> Transcribe:
    """Load the Whisper checkpoint `spec.model_name` and Silero VAD; raises ModelUnavailable."""
    weights = runtime.weights.resolve(spec.model_name, "transcribe")
    # Whisper supports fp32, and fp16 on a GPU only.
    half = runtime.precision == "fp16" and runtime.device.type == "cuda"
    with only_tensors(weights.path):
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

    def preprocess(self, spec: Spec, subject: Audio, arena: ArenaView) -> Heard:
        """Convert int16 audio to float32; raises InvalidSpec for an unknown `spec.language`."""
        self._check(spec.language)
        parts = [arena.audio(ref) for ref in subject.refs]
        samples = np.concatenate([np.zeros(0, np.int16), *parts]).astype(np.float32)
        return Heard(torch.from_numpy(samples / FULL_SCALE), subject.samples)

    def infer(self, spec: Spec, heard: Heard) -> Any:
        """Run the step; the segments of a window are still in seconds."""
        match spec.step:
            case FindVoice() as step:
                chances, state = self._voice.chances(heard.samples[: heard.present], step.state)
                return VoiceFound(step.start, heard.end(step.start), chances.tobytes(), state)
            case PackSpeech() as step:
                return self._pack(step)
            case FindLoudest() as step:
                return self._find_loudest(step, heard)
            case ReadWindows() as step:
                return self._read_windows(spec, step, heard.samples)
            case ReadNext() as step:
                samples = heard.samples.to(self._whisper.device)
                return read_next(self._whisper, samples, step, **self._options(spec))
        raise ValueError("the spec has no step: it can only load the model")

    def postprocess(self, spec: Spec, subject: Audio, output: Any) -> StepResult:
        """Shift the segments to their time in the video; confidence is the tokens' mean one."""

        def placed(segments: list[dict[str, Any]]) -> list[Segment]:
            return [_segment(one, subject.origin_ms, spec.word_timestamps) for one in segments]

        match spec.step:
            case ReadNext():
                language, segments, position = output
                return NextRead(language, position, placed(segments))
            case ReadWindows(windows):
                language, every = output
                pairs = zip(windows, every, strict=True)
                read = [_window_read(window, one, placed(one.segments)) for window, one in pairs]
                return WindowsRead(language, read)
        result: StepResult = output
        return result

    def _pack(self, step: PackSpeech) -> SpeechPacked:
        chances = np.frombuffer(step.chances, np.float32)
        windows = pack(self._voice.regions(chances, step.samples, WINDOW_SAMPLES))
        return SpeechPacked(
            [SpeechWindow(number, window.stretches) for number, window in enumerate(windows)]
        )

    def _find_loudest(self, step: FindLoudest, heard: Heard) -> LoudestFound:
        samples = heard.samples.to(self._whisper.device)
        mel = log_mel(samples, step.before, step.frames, self._whisper.dims.n_mels)
        return LoudestFound(float(mel.max()), heard.end(step.start - step.before))

    def _read_windows(
        self, spec: Spec, step: ReadWindows, samples: Tensor
    ) -> tuple[str, list[Progress]]:
        every = [Progress(Window(one.stretches), one.done, one.last_word_s) for one in step.windows]
        lengths = [one.window.samples for one in every]
        parts = torch.split(samples.to(self._whisper.device), lengths)
        batch = list(zip(every, parts, strict=True))
        return read_windows(self._whisper, batch, **self._options(spec)), every

    def _options(self, spec: Spec) -> dict[str, Any]:
        return {
            "language": spec.language,
            "word_timestamps": spec.word_timestamps,
            "half": self._half,
        }

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


def _window_read(window: SpeechWindow, one: Progress, segments: list[Segment]) -> WindowRead:
    later = msgspec.structs.replace(window, done=one.done, last_word_s=one.last_word_s)
    return WindowRead(later, not one.unfinished, segments)


def _segment(segment: dict[str, Any], start_ms: float, word_timestamps: bool) -> Segment:
    return Segment(
        start_ms=round(start_ms + segment["start"] * 1000),
        end_ms=round(start_ms + segment["end"] * 1000),
        text=segment["text"],
        confidence=round(min(1.0, math.exp(segment["avg_logprob"])), 4),
        words=_words(segment["words"], start_ms) if word_timestamps else None,
    )


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
