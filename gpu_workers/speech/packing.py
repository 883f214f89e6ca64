"""Packs speech into windows of up to 30 s for Whisper, and maps window times back to the audio.

A window concatenates one or more speech regions and cuts out the pauses between them, like
faster-whisper's `collect_chunks`. Whisper takes as long for a window of silence as for one of
speech, so fewer windows are faster; and Whisper may invent words in silence. To keep speech
natural, pauses under 2 s stay within a region, and every region has 0.4 s of padding. WhisperX
keeps the pauses instead, which makes more windows from the same speech.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from gpu_workers.speech.voice_activity import SPEECH_PAD_MS
from ipc.arena import SAMPLE_RATE
from ipc.speech import Region

WINDOW_SAMPLES = 30 * SAMPLE_RATE
# Regions further apart share no window. So the pause within a segment that spans a join is no
# longer than Whisper itself could span.
LONGEST_PAUSE_SAMPLES = 30 * SAMPLE_RATE
PAD_SAMPLES = SPEECH_PAD_MS * SAMPLE_RATE // 1000


@dataclass(frozen=True)
class Window:
    """Stretches of audio, [start, end) in samples, in order; at most WINDOW_SAMPLES in total."""

    stretches: tuple[Region, ...]

    @cached_property
    def joins(self) -> list[int]:
        """Start of each stretch within the window, and end of the last one, in samples."""
        return list(accumulate((end - start for start, end in self.stretches), initial=0))

    @property
    def samples(self) -> int:
        """The window's length."""
        return self.joins[-1]

    def span(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Map start_s to end_s of the window to seconds of the audio.

        Both ends of a stretch are padding without speech. So a start just before a join belongs to
        the next stretch, and an end just after a join to the previous one. Times past the window
        are clipped to it.
        """
        start, end = start_s * SAMPLE_RATE, end_s * SAMPLE_RATE
        last = len(self.stretches) - 1
        first = min(bisect_right(self.joins, start + PAD_SAMPLES) - 1, last)
        final = min(max(bisect_left(self.joins, end - PAD_SAMPLES) - 1, 0), last)
        if first > final:
            first = final = self._stretch((start + end) / 2)
        return self._place(first, start), self._place(final, end)

    def word(self, start_s: float, end_s: float) -> tuple[float, float]:
        """As `span`, but within the stretch that contains the middle: a word has no pause."""
        start, end = start_s * SAMPLE_RATE, end_s * SAMPLE_RATE
        stretch = self._stretch((start + end) / 2)
        return self._place(stretch, start), self._place(stretch, end)

    def _stretch(self, sample: float) -> int:
        return min(bisect_right(self.joins, sample) - 1, len(self.stretches) - 1)

    def _place(self, stretch: int, sample: float) -> float:
        """Map a sample of the window to seconds of the audio, clipped to the stretch."""
        start, end = self.stretches[stretch]
        return min(start + max(sample - self.joins[stretch], 0), end) / SAMPLE_RATE


def pack(regions: Iterable[Region]) -> list[Window]:
    """Add each region, of up to WINDOW_SAMPLES, to the current window, or start a new one."""
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
