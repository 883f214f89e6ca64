"""Clip content: scenes of moving shapes, text and photographs, with their ground truth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.clips import backdrops
from bench.clips.shapes import Box, Colour, Frame, Shape, draw, random_shape


@dataclass(frozen=True)
class Shown:
    """A text or a photograph's name, and its first and last frame."""

    what: str
    first_frame: int
    last_frame: int


@dataclass(frozen=True)
class Truth:
    """A clip's ground truth. A cut is the index of the first frame after it; silences are in s."""

    width: int
    height: int
    fps: int
    frame_count: int
    cuts: tuple[int, ...] = ()
    boxes: tuple[tuple[Box, ...], ...] = ()
    texts: tuple[Shown, ...] = ()
    photos: tuple[Shown, ...] = ()
    silences: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Mover:
    """A shape that swings around its position by `reach` pixels (x, y), and rotates."""

    shape: Shape
    reach: tuple[float, float]
    turns_per_s: tuple[float, float, float]  # horizontal swing, vertical swing, rotation
    phase: float

    def at(self, seconds: float) -> Shape:
        """The shape after the given seconds."""
        across, down, around = (2 * np.pi * seconds * turns for turns in self.turns_per_s)
        return replace(
            self.shape,
            x=self.shape.x + self.reach[0] * float(np.sin(across + self.phase)),
            y=self.shape.y + self.reach[1] * float(np.cos(down + self.phase)),
            angle=self.shape.angle + around,
        )


@dataclass(frozen=True)
class Scene:
    """One scene; `backdrop` draws a new RGB frame for a position (0 to 1) within the scene."""

    seconds: float
    backdrop: Callable[[float], Frame]
    movers: tuple[Mover, ...] = ()
    texts: tuple[str, ...] = ()
    photo: str | None = None

    def shapes(self, seconds: float) -> list[Shape]:
        """The visible shapes after the given seconds."""
        return [mover.at(seconds) for mover in self.movers]


@dataclass(frozen=True)
class Line:
    """A line of text: left, top and size, as fractions of the frame's height."""

    text: str
    x: float
    y: float
    size: float
    colour: Colour = (255, 255, 255)


def play(scenes: Sequence[Scene], fps: int) -> Iterator[Frame]:
    """Draw the frames of the scenes, in sequence, as RGB (height, width, 3)."""
    for scene in scenes:
        count = round(scene.seconds * fps)
        for index in range(count):
            frame = scene.backdrop(index / count)
            draw(frame, scene.shapes(index / fps))
            yield frame


def truth_of(
    scenes: Sequence[Scene],
    width: int,
    height: int,
    fps: int,
    silences: Sequence[tuple[float, float]],
) -> Truth:
    """The ground truth of what `play` draws, without drawing it."""
    texts: list[Shown] = []
    photos: list[Shown] = []
    boxes: list[tuple[Box, ...]] = []
    cuts: list[int] = []
    for scene in scenes:
        first, count = len(boxes), round(scene.seconds * fps)
        cuts.append(first)
        last = first + count - 1
        texts += [Shown(text, first, last) for text in scene.texts]
        photos += [Shown(scene.photo, first, last)] if scene.photo else []
        boxes += [
            tuple(shape.box() for shape in scene.shapes(index / fps)) for index in range(count)
        ]
    return Truth(
        width,
        height,
        fps,
        len(boxes),
        tuple(cuts[1:]),
        tuple(boxes),
        tuple(texts),
        tuple(photos),
        tuple(silences),
    )


def parade(
    rng: np.random.Generator, seconds: float, picture: Frame, labels: Sequence[str]
) -> Scene:
    """Shapes with the given labels that swing and rotate, each in its own column."""
    height, width = picture.shape[:2]
    column = width / len(labels)
    movers = []
    for place, label in enumerate(labels):
        radius = min(column, height) * rng.uniform(0.22, 0.34)
        shape = random_shape(rng, label, (place + 0.5) * column, height / 2, radius)
        turns = rng.uniform(0.15, 0.3), rng.uniform(0.15, 0.3), rng.uniform(-0.12, 0.12)
        reach = 0.46 * column - radius, 0.45 * height - radius  # keep clear of the stamp
        movers.append(Mover(shape, reach, turns, rng.uniform(0, 2 * np.pi)))
    return Scene(seconds, lambda _: picture.copy(), tuple(movers))


def card(seconds: float, picture: Frame, lines: Sequence[Line]) -> Scene:
    """Static text on an image."""
    height = picture.shape[0]
    for line in lines:
        left, top = round(line.x * height), round(line.y * height)
        picture = backdrops.write(picture, [line.text], left, top, line.size * height, line.colour)
    return Scene(seconds, lambda _: picture.copy(), texts=tuple(line.text for line in lines))


def pan(
    seconds: float,
    name: str,
    size: tuple[int, int],
    start: tuple[float, float, float],
    end: tuple[float, float, float],
) -> Scene:
    """A slow pan over a photograph; start and end are a centre (0 to 1, twice) and a zoom."""

    def view(share: float) -> Frame:
        x, y, zoom = (a + (b - a) * share for a, b in zip(start, end, strict=True))
        return backdrops.window(backdrops.photo(name), *size, (x, y), zoom)

    return Scene(seconds, view, photo=name)
