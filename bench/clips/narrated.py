"""A narrated clip of which everything is known: what is said, written, drawn, and where it cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.clips.encoding import Coding, encode, video_frame
from bench.clips.narrated_parts import HEIGHT, SIZE, WIDTH, Part, parts
from bench.clips.photographs import Photograph
from bench.clips.scenes import play, truth_of
from bench.clips.shapes import Box
from bench.clips.sound import RATE, Sound, silence
from bench.clips.voice import PAUSE_S, resampled, say

FPS = 30
_LEAD_S = 0.25  # from a cut to its sentence
_VOICE, _WORDS_PER_MINUTE = "en-gb", 150


@dataclass(frozen=True)
class Sentence:
    """What is said, and when."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Span:
    """Frames from `first` up to, but without, `end`."""

    first: int
    end: int

    def __contains__(self, frame: int) -> bool:
        return self.first <= frame < self.end


@dataclass(frozen=True)
class Written:
    """A line of text, where it is, and in which frames."""

    box: Box
    frames: Span

    @property
    def text(self) -> str:
        """The line itself."""
        return self.box.label


@dataclass(frozen=True)
class Shown:
    """A photograph, and in which frames it is."""

    photograph: Photograph
    frames: Span


@dataclass(frozen=True)
class Narrated:
    """The clip's ground truth. A cut is the first frame after it; `shapes` has one item a frame."""

    width: int
    height: int
    fps: int
    scenes: tuple[Span, ...]
    sentences: tuple[Sentence, ...]
    texts: tuple[Written, ...]
    photographs: tuple[Shown, ...]
    shapes: tuple[tuple[Box, ...], ...]

    @property
    def frame_count(self) -> int:
        """The number of frames."""
        return self.scenes[-1].end

    @property
    def cuts(self) -> tuple[int, ...]:
        """The first frame of every scene but the first."""
        return tuple(scene.first for scene in self.scenes[1:])


def make_narrated(path: Path) -> Narrated:
    """Write the clip, 28.5 s of 1280 × 720 at 30 fps with speech, and return its truth."""
    story = parts()
    voices = _spoken(story)
    truth = _truth(story, voices)
    frames = play([part.scene for part in story], FPS)
    encode(
        path,
        (video_frame(frame, pts) for pts, frame in enumerate(frames)),
        truth.frame_count,
        SIZE,
        Coding(FPS, crf=21),
        _mixed(voices, truth),
    )
    return truth


def truth_of_narrated() -> Narrated:
    """The truth of the clip that `make_narrated` writes."""
    story = parts()
    return _truth(story, _spoken(story))


def known(story: Sequence[Part], spoken_s: Sequence[float]) -> Narrated:
    """The truth of a clip of these parts, whose sentences take `spoken_s`."""
    drawn = truth_of([part.scene for part in story], WIDTH, HEIGHT, FPS, ())
    starts = (0, *drawn.cuts)
    scenes = [Span(*ends) for ends in zip(starts, (*drawn.cuts, drawn.frame_count), strict=True)]
    placed = list(zip(story, scenes, strict=True))
    begins = [scene.first / FPS + _LEAD_S for scene in scenes]
    return Narrated(
        WIDTH,
        HEIGHT,
        FPS,
        tuple(scenes),
        tuple(
            Sentence(part.sentence, start_s, start_s + seconds)
            for part, start_s, seconds in zip(story, begins, spoken_s, strict=True)
        ),
        tuple(Written(box, scene) for part, scene in placed for box in part.texts),
        tuple(Shown(p.photograph, scene) for p, scene in placed if p.photograph is not None),
        drawn.boxes,
    )


def _spoken(story: Sequence[Part]) -> list[Sound]:
    """Each part's sentence."""
    return [resampled(say(part.sentence, _VOICE, _WORDS_PER_MINUTE)) for part in story]


def _truth(story: Sequence[Part], voices: Sequence[Sound]) -> Narrated:
    return known(story, [len(voice) / RATE - PAUSE_S for voice in voices])


def _mixed(voices: Sequence[Sound], truth: Narrated) -> Sound:
    """The sentences at their times."""
    sound = silence(truth.frame_count / truth.fps)
    for voice, sentence in zip(voices, truth.sentences, strict=True):
        start = round(sentence.start_s * RATE)
        room = sound[start : start + len(voice)]
        room += voice[: len(room)]
    return sound
