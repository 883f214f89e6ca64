"""A transcription without a server: the front's task and the worker's model, step by step."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch

from gpu_workers.inference import run
from gpu_workers.speech.packing import WINDOW_SAMPLES, Window, pack
from gpu_workers.speech.voice_activity import VoiceDetector
from gpu_workers.tasks import transcribe
from ipc.results import Segment
from ipc.speech import Region
from ipc.subjects import AudioRef
from server.analysis.audio_plan import AudioPlan
from server.tasks.registry import installed
from server.tasks.transcribe import TranscribeOptions

if TYPE_CHECKING:
    from tests.conftest import FrameStore

TASK = installed()["transcribe"]


def transcribed(
    model: transcribe.Transcribe,
    store: FrameStore,
    audio: np.ndarray,
    options: TranscribeOptions,
    *,
    start_ms: float = 0.0,
    workers: int = 1,
    announced: int | None = None,
) -> Any:
    """The state after all steps; `workers` run at once, and the newest answers first.

    `announced` is the number of samples that the file claims to have, if there are fewer.
    """
    claimed = len(audio) if announced is None else announced
    ref = AudioRef(0, claimed, start_ms)
    store.view.audio(ref)[:] = np.pad(audio, (0, claimed - len(audio)))
    plan = AudioPlan(start_ms, start_ms + claimed / 16, max(1, claimed))
    decoded = {0: AudioRef(0, len(audio), start_ms)}
    state, out, sent = TASK.start(), deque[Any](), 0
    while True:
        step = None
        while len(out) < workers and (step := TASK.next_audio(options, state, claimed, sent)):
            spec = TASK.encoded(options, step.spec).options
            out.append((spec, plan.cut(step.stretches, decoded)))
            sent += 1
        if not out:
            return state
        results = [_answer(model, store, *message) for message in reversed(out)]
        out.clear()
        for result in reversed(results):
            TASK.add(state, msgspec.msgpack.decode(result, type=TASK.result))


def _answer(model: transcribe.Transcribe, store: FrameStore, spec: Any, subject: Any) -> bytes:
    decoded = msgspec.msgpack.decode(spec, type=transcribe.Spec)
    return msgspec.msgpack.encode(run(model, decoded, subject, store.view))


def segments(state: Any) -> list[Segment]:
    """The segments of a transcription that has ended."""
    assert state.out == 0
    found: list[Segment] = state.segments
    return found


def regions(voice: VoiceDetector, audio: torch.Tensor, longest: int) -> list[Region]:
    """The speech in all of the audio, from one call."""
    return voice.regions(voice.chances(audio)[0], len(audio), longest)


def windows_of(voice: VoiceDetector, audio: torch.Tensor) -> list[Window]:
    """The windows with speech in all of the audio, from one call."""
    return pack(regions(voice, audio, WINDOW_SAMPLES))


def cut(window: Window, audio: torch.Tensor) -> torch.Tensor:
    """The window's samples of the (samples,) audio."""
    return torch.cat([audio[start:end] for start, end in window.stretches])
