"""Whisper on batches of speech windows.

Each window gets the result of `whisper.transcribe(net, its_audio, temperature=0,
condition_on_previous_text=False)`. Upstream prompts Whisper with the previous text. Here, windows
are decoded in parallel, so there is no previous text. Such a prompt keeps the spelling of names
consistent, but also makes Whisper repeat itself. The first window determines the language.

Two differences from upstream: a segment without words, or after the end of its window, is dropped;
and the rest of a window that a result leaves is not decoded if it is no longer than the speech
padding. As upstream at temperature 0 alone, text that is too repetitive (compression ratio above
2.4) or too unlikely is kept, because there is no other temperature to fall back to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import whisper
from torch import Tensor
from whisper.audio import N_FRAMES
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.timing import add_word_timestamps

from gpu_workers.speech.timestamp_rules import TimestampRules
from gpu_workers.speech.whisper_decoder import BatchInference, Encoded
from gpu_workers.speech.window_progress import Progress


@torch.inference_mode()
def read_windows(
    net: whisper.Whisper,
    batch: Sequence[tuple[Progress, Tensor]],
    *,
    language: str | None,
    word_timestamps: bool,
    half: bool,
) -> str:
    """Read once what is left of each window, given its (samples,) float32 audio; fp16 if `half`.

    Returns the language.
    """
    mels = [one.mel(samples, net.dims.n_mels) for one, samples in batch]
    inputs = torch.stack([whisper.pad_or_trim(mel, N_FRAMES) for mel in mels])
    features = net.encoder(inputs.half() if half else inputs)
    language = language or detect_language(net, features)
    options = DecodingOptions(language=language, temperature=0, fp16=half)
    task = decoding_task(net, features, options)
    for (one, _), row, result in zip(batch, features, task.run(features), strict=True):
        align = aligner(net, task.tokenizer, row) if word_timestamps else None
        one.take(result, task.tokenizer, align)
    return language


def detect_language(net: whisper.Whisper, features: Tensor) -> str:
    """The most likely language of the first of (rows, 1500, width) encoded windows."""
    if not net.is_multilingual:
        return "en"
    _, (odds,) = net.detect_language(features[:1])
    return str(max(odds, key=odds.get))


def decoding_task(net: whisper.Whisper, features: Tensor, options: DecodingOptions) -> DecodingTask:
    """Whisper's own decoding task, with its slow parts replaced by batched ones."""
    task = DecodingTask(net, options)
    *filters, timestamp_rules = task.logit_filters
    task.logit_filters = [*filters, TimestampRules(timestamp_rules)]
    task.inference = BatchInference(net.decoder, features, task.tokenizer.eot)
    return task


def aligner(net: whisper.Whisper, tokenizer: Any, features: Tensor) -> Callable[..., None]:
    """A function that adds words to a window's segments, given its (1500, width) features."""
    return partial(add_word_timestamps, model=Encoded(net), tokenizer=tokenizer, mel=features)
