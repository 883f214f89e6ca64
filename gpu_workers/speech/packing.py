"""Packing speech into windows of up to 30 s for Whisper, and finding the way back in time.

A window is the speech of one or more regions, one right after the other, the pauses between them
cut out: as faster-whisper's `collect_chunks` has it. Whisper takes as long over a window of silence
as over one of speech, so the fewer windows, the faster; and in silence it may invent words. What
sounds natural is kept: pauses under 2 s are within a region, and every region has 0.4 s around it.
WhisperX instead keeps the pauses, which makes more windows of the same speech.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from gpu_workers.speech.voice_activity import SPEECH_PAD_MS, Region
from ipc.arena import SAMPLE_RATE

WINDOW_SAMPLES = 30 * SAMPLE_RATE
# Speech further apart shares no window, so that a segment over a join spans no longer a pause than
# one by Whisper itself could.
LONGEST_PAUSE_SAMPLES = 30 * SAMPLE_RATE
PAD_SAMPLES = SPEECH_PAD_MS * SAMPLE_RATE // 1000


@dataclass(frozen=True)
class Window:
    """Stretches of a sound, [start, end) in samples, in order: together up to WINDOW_SAMPLES."""

    stretches: tuple[Region, ...]

    def cut_from(self, sound: Tensor) -> Tensor:
        """The window's own sound, of (samples,) sound."""
        return torch.cat([sound[start:end] for start, end in self.stretches])

    @cached_property
    def joins(self) -> list[int]:
        """Where each stretch begins in the window, and where the last one ends, in samples."""
        return list(accumulate((end - start for start, end in self.stretches), initial=0))

    @property
    def samples(self) -> int:
        """The window's length."""
        return self.joins[-1]

    def span(self, start_s: float, end_s: float) -> tuple[float, float]:
        """The seconds in the sound at which something from start_s to end_s of the window lies.

        The ends of a stretch are padding, in which nobody speaks: what starts right before a join
        belongs behind it, and what ends right behind one, before it. Nothing lasts beyond the
        window.
        """
        start, end = start_s * SAMPLE_RATE, end_s * SAMPLE_RATE
        last = len(self.stretches) - 1
        first = min(bisect_right(self.joins, start + PAD_SAMPLES) - 1, last)
        final = min(max(bisect_left(self.joins, end - PAD_SAMPLES) - 1, 0), last)
        if first > final:
            first = final = self._stretch((start + end) / 2)
        return self._place(first, start), self._place(final, end)

    def word(self, start_s: float, end_s: float) -> tuple[float, float]:
        """As `span`, but all within the stretch that the middle lies in: no word has a pause."""
        start, end = start_s * SAMPLE_RATE, end_s * SAMPLE_RATE
        stretch = self._stretch((start + end) / 2)
        return self._place(stretch, start), self._place(stretch, end)

    def _stretch(self, sample: float) -> int:
        return min(bisect_right(self.joins, sample) - 1, len(self.stretches) - 1)

    def _place(self, stretch: int, sample: float) -> float:
        """The second in the sound of a sample of the window, moved into the stretch."""
        start, end = self.stretches[stretch]
        return min(start + max(sample - self.joins[stretch], 0), end) / SAMPLE_RATE


def pack(regions: Iterable[Region]) -> list[Window]:
    """Put each region, of up to WINDOW_SAMPLES, into the window at hand, or else begin another."""
    windows: list[list[Region]] = []
    room = previous_end = 0
    for start, end in regions:
        if end - start > room or start - previous_end > LONGEST_PAUSE_SAMPLES:
            windows.append([(start, end)])
            room = WINDOW_SAMPLES
        elif start == previous_end:
            windows[-1][-1] = (windows[-1][-1][0], end)
        else:
            windows[-1].append((start, end))
        room -= end - start
        previous_end = end
    return [Window(tuple(stretches)) for stretches in windows]
