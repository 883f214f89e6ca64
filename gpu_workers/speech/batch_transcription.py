"""Whisper on windows of speech, several at once.

Each window gets the answer of `whisper.transcribe(net, its_sound, temperature=0,
condition_on_previous_text=False)`. Upstream prompts Whisper with the text before; here windows are
decoded side by side, so there is none yet. That text keeps the spelling of names from window to
window, and is also what makes Whisper repeat itself. The language is that of the first window.

Two things differ from there: a segment without words, or behind its window's end, is left out; and
a rest that an answer leaves over is not decoded where it is no longer than the padding of speech.
As there, at temperature 0 alone, text that is too repetitive (compression ratio above 2.4) or too
unlikely has nothing to fall back to, and is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import whisper
from torch import Tensor
from whisper.audio import N_FRAMES
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.timing import add_word_timestamps

from gpu_workers.speech.packing import Window
from gpu_workers.speech.timestamp_rules import TimestampRules
from gpu_workers.speech.whisper_decoder import BatchInference, Encoded
from gpu_workers.speech.window_progress import Progress

# Constant, so that an answer does not depend on load. As in faster-whisper; on a CPU, twice as many
# take a twentieth less.
WINDOWS_AT_ONCE = 8


@torch.inference_mode()
def transcribe_windows(
    net: whisper.Whisper,
    sound: Tensor,
    windows: Sequence[Window],
    *,
    language: str | None,
    word_timestamps: bool,
    half: bool,
) -> dict[str, Any]:
    """Transcribe the windows of (samples,) float32 sound, in fp16 if `half`.

    Returns `language` and `segments` as `whisper.transcribe` does, in seconds of the sound.
    """
    every = [Progress(window) for window in windows]
    waiting = deque(every)
    while waiting:
        batch = [waiting.popleft() for _ in range(min(WINDOWS_AT_ONCE, len(waiting)))]
        mels = [one.mel(sound, net.dims.n_mels) for one in batch]
        inputs = torch.stack([whisper.pad_or_trim(mel, N_FRAMES) for mel in mels])
        features = net.encoder(inputs.half() if half else inputs)
        language = language or detect_language(net, features)
        task = _task(net, features, DecodingOptions(language=language, temperature=0, fp16=half))
        for one, row, result in zip(batch, features, task.run(features), strict=True):
            align = _aligner(net, task.tokenizer, row) if word_timestamps else None
            one.take(result, task.tokenizer, align)
        waiting.extend(one for one in batch if one.unfinished)
    return {"language": language, "segments": [part for one in every for part in one.segments]}


def detect_language(net: whisper.Whisper, features: Tensor) -> str:
    """The likeliest language of the first of (rows, 1500, width) encoded windows."""
    if not net.is_multilingual:
        return "en"
    _, (odds,) = net.detect_language(features[:1])
    return str(max(odds, key=odds.get))


def _task(net: whisper.Whisper, features: Tensor, options: DecodingOptions) -> DecodingTask:
    """Whisper's own decoding, with the parts exchanged that are slow for a batch."""
    task = DecodingTask(net, options)
    *filters, timestamp_rules = task.logit_filters
    task.logit_filters = [*filters, TimestampRules(timestamp_rules)]
    task.inference = BatchInference(net.decoder, features, task.tokenizer.eot)
    return task


def _aligner(net: whisper.Whisper, tokenizer: Any, features: Tensor) -> Callable[..., None]:
    """What adds words to a window's segments, given its (1500, width) features."""
    return partial(add_word_timestamps, model=Encoded(net), tokenizer=tokenizer, mel=features)
