"""Plans how a request's audio is decoded: in long sections, of which each message gets parts.

A decoder that starts within a file does not always give the bytes of one that has read up to there.
So sections are long, and do not depend on the parts that the messages need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ipc.arena import SAMPLE_RATE
from ipc.messages import MediaRange
from ipc.subjects import Audio, AudioRef
from server.analysis.planner import CHUNKS_IN_POOL
from server.errors import Problem
from server.settings import MB, Settings
from server.tasks.task import Stretch

SAMPLE_BYTES = 2
RESAMPLER_SLACK = SAMPLE_RATE
SECTION_SAMPLES = 30 * 60 * SAMPLE_RATE


@dataclass(frozen=True)
class Section:
    """A part of the audio that one message to a decoder reads."""

    number: int
    start_ms: float
    end_ms: float

    @property
    def capacity(self) -> int:
        """The maximum number of samples."""
        return round((self.end_ms - self.start_ms) * SAMPLE_RATE / 1000) + RESAMPLER_SLACK


@dataclass(frozen=True)
class AudioPlan:
    """`samples` of audio between two times, in sections of up to `section_samples`."""

    start_ms: float
    end_ms: float
    section_samples: int

    @property
    def samples(self) -> int:
        """The length that the file announces."""
        return round((self.end_ms - self.start_ms) * SAMPLE_RATE / 1000)

    def sections(self, stretches: Sequence[Stretch]) -> tuple[Section, ...]:
        """The sections that contain the stretches, in order."""
        numbers = {number for start, end in stretches for number, _, _ in self._parts(start, end)}
        return tuple(self._section(number) for number in sorted(numbers))

    def cut(self, stretches: Sequence[Stretch], decoded: Mapping[int, AudioRef]) -> Audio:
        """The audio of the stretches, from decoded sections by their numbers."""
        refs: list[AudioRef] = []
        length = present = 0
        for start, end in stretches:
            for number, first, last in self._parts(start, end):
                section = decoded[number]
                skipped = first - number * self.section_samples
                offset = section.offset + skipped * SAMPLE_BYTES
                refs.append(AudioRef(offset, last - first, self._time_ms(first)))
                if section.samples > skipped:
                    present = length + min(last - first, section.samples - skipped)
                length += last - first
        return Audio(tuple(refs), present, self.start_ms)

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield the number of each section that [start, end) touches, and the part within it."""
        size = self.section_samples
        while start < end:
            number = start // size
            stop = min(end, (number + 1) * size)
            yield number, start, stop
            start = stop

    def _section(self, number: int) -> Section:
        start = number * self.section_samples
        end_ms = min(self._time_ms(start + self.section_samples), self.end_ms)
        return Section(number, self._time_ms(start), end_ms)

    def _time_ms(self, sample: int) -> float:
        return self.start_ms + sample * 1000 / SAMPLE_RATE


def plan_audio(span: MediaRange, settings: Settings) -> AudioPlan:
    """The audio of a range; several sections fit the pool. Raises Problem (no_audio_stream)."""
    if span.audio_start_ms is None or span.audio_end_ms is None:
        raise Problem("no_audio_stream", "The file has no audio stream.")
    fitting = settings.frame_pool_mb * MB // CHUNKS_IN_POOL // SAMPLE_BYTES - RESAMPLER_SLACK
    return AudioPlan(span.audio_start_ms, span.audio_end_ms, min(SECTION_SAMPLES, fitting))
