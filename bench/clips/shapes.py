"""Draws labelled shapes with exactly known bounding boxes."""

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

LABELS = ("circle", "square", "triangle", "star")
_CORNERS = {"circle": 90, "square": 4, "triangle": 3, "star": 10}
_FRACTION_BITS = 4  # cv2 takes fixed-point corners: 1/16 pixel
_FILL = 0.86  # the rest of the radius is the rim
_GAP = 8  # minimum distance in pixels between scattered shapes
_TRIES = 10


@dataclass(frozen=True)
class Box:
    """A labelled bounding box: its top left corner and its size, in pixels."""

    label: str
    x: float
    y: float
    width: float
    height: float

    def iou(self, other: "Box") -> float:
        """Intersection over union of two boxes; labels are ignored."""
        right = min(self.x + self.width, other.x + other.width)
        bottom = min(self.y + self.height, other.y + other.height)
        shared = max(0.0, right - max(self.x, other.x)) * max(0.0, bottom - max(self.y, other.y))
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True)
class Shape:
    """A filled shape with a rim; centre and radius in pixels, angle in radians."""

    label: str
    x: float
    y: float
    radius: float
    angle: float
    fill: Colour
    rim: Colour

    def outline(self, scale: float = 1.0) -> Points:
        """Corners of the shape, (corners, 2), as (x, y) in pixels."""
        count = _CORNERS[self.label]
        turns = np.arange(count) * (2 * np.pi / count) + self.angle
        reach = np.full(count, self.radius * scale)
        if self.label == "star":
            reach[1::2] *= 0.45
        return np.stack([self.x + reach * np.cos(turns), self.y + reach * np.sin(turns)], axis=1)

    def box(self) -> Box:
        """The smallest upright box around the shape."""
        (left, top), (right, bottom) = self.outline().min(axis=0), self.outline().max(axis=0)
        return Box(self.label, float(left), float(top), float(right - left), float(bottom - top))


def draw(frame: Frame, shapes: Iterable[Shape]) -> tuple[Box, ...]:
    """Draw shapes into an RGB frame (height, width, 3), in place, and return their boxes."""
    boxes = []
    for shape in shapes:
        for scale, colour in ((1.0, shape.rim), (_FILL, shape.fill)):
            _paint(frame, shape, scale, colour)
        boxes.append(shape.box())
    return tuple(boxes)


def _paint(frame: Frame, shape: Shape, scale: float, colour: Colour) -> None:
    one = 2**_FRACTION_BITS
    if shape.label == "circle":  # fillPoly leaves bumps where edges are short
        centre = round(shape.x * one), round(shape.y * one)
        radius = round(shape.radius * scale * one)
        cv2.circle(frame, centre, radius, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)
    else:
        corners = np.rint(shape.outline(scale) * one).astype(np.int32)
        cv2.fillPoly(frame, [corners], colour, cv2.LINE_AA, _FRACTION_BITS)


def vivid(rng: np.random.Generator, brightness: tuple[float, float] = (0.7, 1.0)) -> Colour:
    """A saturated RGB colour of any hue."""
    red, green, blue = colorsys.hsv_to_rgb(
        rng.uniform(), rng.uniform(0.55, 0.95), rng.uniform(*brightness)
    )
    return round(red * 255), round(green * 255), round(blue * 255)


def random_shape(rng: np.random.Generator, label: str, x: float, y: float, radius: float) -> Shape:
    """A shape with the given label and position, and a seeded angle, fill and rim."""
    fill = vivid(rng)
    shade = rng.choice([0.35, 0.55])
    dark = tuple(round(channel * shade) for channel in fill)
    rim = (255, 255, 255) if rng.uniform() < 0.6 else (dark[0], dark[1], dark[2])
    return Shape(label, x, y, radius, rng.uniform(0, 2 * np.pi), fill, rim)


def scatter(
    rng: np.random.Generator, width: int, height: int, count: int, radius: tuple[float, float]
) -> list[Shape]:
    """At most `count` shapes that neither overlap nor cross the border of a width × height frame.

    Radii are log-uniform; a shape that does not fit in ten tries is omitted.
    """
    shapes: list[Shape] = []
    for size in np.exp(rng.uniform(np.log(radius[0]), np.log(radius[1]), count)).tolist():
        label = LABELS[rng.integers(len(LABELS))]
        places = rng.uniform(size, (width - size, height - size), (_TRIES, 2)).tolist()
        for x, y in places:
            if all(np.hypot(x - s.x, y - s.y) > size + s.radius + _GAP for s in shapes):
                shapes.append(random_shape(rng, label, x, y, size))
                break
    return shapes
