"""Whisper on all of the audio: one window of the loop in `whisper.transcribe` at a time.

The result of all windows is that of `whisper.transcribe(net, audio, temperature=0)`, up to
rounding: what its loop keeps from one window to the next is a `Position`.
"""

from __future__ import annotations

from typing import Any

import torch
import whisper
from torch import Tensor
from whisper.audio import HOP_LENGTH, N_FRAMES
from whisper.decoding import DecodingOptions
from whisper.utils import get_end

from gpu_workers.speech.batch_transcription import aligner, decoding_task, detect_language
from gpu_workers.speech.spectrogram import log_mel, normalised
from gpu_workers.speech.window_progress import after_last_word, is_silent, read, segments_of
from ipc.speech import Position, ReadNext


@torch.inference_mode()
def read_next(
    net: whisper.Whisper,
    audio: Tensor,
    step: ReadNext,
    *,
    language: str | None,
    word_timestamps: bool,
    half: bool,
) -> tuple[str, list[dict[str, Any]], Position]:
    """Transcribe the step's window; return the language, its segments, and the next position.

    The segments are in the format of `whisper.transcribe`, in seconds of all of the audio.
    """

    def encode(mel: Tensor) -> Tensor:
        features: Tensor = net.encoder((mel.half() if half else mel)[None])
        return features

    position = step.position
    left = min(N_FRAMES, step.samples // HOP_LENGTH - position.seek)
    mel = normalised(log_mel(audio, step.before, N_FRAMES, net.dims.n_mels), step.loudest)
    language = language or detect_language(net, encode(mel))
    features = encode(whisper.pad_or_trim(mel[:, :left], N_FRAMES))
    prompt = list(position.prompt)
    options = DecodingOptions(language=language, temperature=0, fp16=half, prompt=prompt)
    task = decoding_task(net, features, options)
    (result,) = task.run(features)
    if is_silent(result):
        return language, [], Position(position.seek + left, position.prompt, position.last_speech_s)
    reading = read(result.tokens, task.tokenizer.timestamp_begin, left)
    segments = segments_of(reading, result, task.tokenizer, position.seek)
    seek, last_speech_s = position.seek + reading.frames, position.last_speech_s
    if word_timestamps:
        align = aligner(net, task.tokenizer, features[0])
        align(segments=segments, num_frames=left, last_speech_timestamp=last_speech_s)
        last_speech_s = float(get_end(segments))
        seek = after_last_word(reading, position.seek, last_speech_s)
    for segment in segments:
        _clear_if_empty(segment)
    said = [token for segment in segments for token in segment["tokens"]]
    kept = (*position.prompt, *said)[-(net.dims.n_text_ctx // 2) :]
    return language, segments, Position(seek, kept, last_speech_s)


def _clear_if_empty(segment: dict[str, Any]) -> None:
    if segment["start"] == segment["end"] or not segment["text"].strip():
        segment.update(text="", tokens=[], words=[])
