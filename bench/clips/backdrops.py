"""Backgrounds to draw on: gradients, textures, photographs and text."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from bench.clips.shapes import Colour, Frame

PHOTOS = ("bus.jpg", "zidane.jpg")


def gradient(width: int, height: int, first: Colour, second: Colour, angle: float) -> Frame:
    """A gradient between two colours along a direction in radians, (height, width, 3)."""
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.cos(angle)
    down = np.linspace(-1, 1, height, dtype=np.float32) * np.sin(angle)
    return _blend(across + down[:, None], first, second)


def clouds(
    rng: np.random.Generator, width: int, height: int, first: Colour, second: Colour
) -> Frame:
    """Fractal noise between two colours: six octaves, each with half the previous amplitude."""
    noise = np.zeros((height, width), np.float32)
    for octave in range(6):
        cells = rng.random(size=(3 * 2**octave, 5 * 2**octave), dtype=np.float32)
        noise += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return _blend(noise, first, second)


def bricks(rng: np.random.Generator, width: int, height: int, colour: Colour) -> Frame:
    """A brick wall with a random shade per brick; a brick is three times as wide as high."""
    high = max(8, height // int(rng.integers(9, 18)))
    long = 3 * high
    frame = np.full((height, width, 3), 60, np.uint8)
    for row, top in enumerate(range(0, height, high)):
        for left in range(-(row % 2) * long // 2, width, long):
            shade = [round(channel * rng.uniform(0.7, 1.0)) for channel in colour]
            cv2.rectangle(frame, (left, top), (left + long - 3, top + high - 3), shade, cv2.FILLED)
    return frame


def stripes(width: int, height: int, first: Colour, second: Colour, angle: float) -> Frame:
    """Smooth stripes between two colours along a direction in radians."""
    across = np.arange(width, dtype=np.float32) * np.cos(angle)
    down = np.arange(height, dtype=np.float32) * np.sin(angle)
    wave = np.sin((across + down[:, None]) * (24 * np.pi / width))
    return _blend(np.clip(wave * 3, -1, 1), first, second)


@cache
def photo(name: str) -> Frame:
    """One of PHOTOS, which ship with the ultralytics package, as RGB (height, width, 3).

    The package is located but not imported, because importing it loads torch. Raises
    FileNotFoundError if it is not installed.
    """
    spec = find_spec("ultralytics")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the photographs are part of the ultralytics package")
    return np.asarray(Image.open(Path(spec.origin).parent / "assets" / name).convert("RGB"))


def window(
    picture: Frame, width: int, height: int, centre: tuple[float, float], zoom: float
) -> Frame:
    """A width × height view into an image; zoom 1 is the largest view that fits.

    `centre` ranges from 0 to 1 over all possible positions of the view.
    """
    tall, wide = picture.shape[:2]
    scale = max(width / wide, height / tall) * zoom
    left, top = (wide - width / scale) * centre[0], (tall - height / scale) * centre[1]
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    view: Frame = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return view


def write(frame: Frame, lines: Sequence[str], x: int, y: int, size: float, colour: Colour) -> Frame:
    """Copy the frame and draw lines of text; x, y is the top left, size the letter height."""
    image = Image.fromarray(frame)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(image).multiline_text(
        (x, y), "\n".join(lines), fill=colour, font=font, spacing=size * 0.4
    )
    return np.asarray(image).copy()


def _blend(ramp: npt.NDArray[np.float32], first: Colour, second: Colour) -> Frame:
    """Map the ramp's minimum to the first colour and its maximum to the second."""
    share = (ramp - ramp.min()) / np.ptp(ramp)
    steps = np.linspace(first, second, 256).round().astype(np.uint8)
    frame: Frame = steps[(share * 255).astype(np.uint8)]
    return frame
