"""Text drawn in a TrueType font, with exactly known bounding boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.clips.photographs import package_file
from bench.clips.shapes import Box, Colour, Frame

REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"


@dataclass(frozen=True)
class Lettering:
    """A line of text: its left edge, its top and its font size in pixels."""

    text: str
    x: int
    y: int
    size: int
    colour: Colour = (255, 255, 255)
    font: str = REGULAR


def letter(frame: Frame, lines: Iterable[Lettering]) -> tuple[Frame, tuple[Box, ...]]:
    """Copy the frame, draw the lines, and return their boxes, labelled with the text."""
    image = Image.fromarray(frame)
    boxes = []
    for line in lines:
        font = _font(line.font, line.size)
        ink = Image.new("L", image.size)
        ImageDraw.Draw(ink).text((line.x, line.y), line.text, 255, font)
        image.paste(line.colour, mask=ink)
        left, top, right, bottom = ink.getbbox()  # the font's own box has blank edges
        boxes.append(Box(line.text, left, top, right - left, bottom - top))
    return np.asarray(image).copy(), tuple(boxes)


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of the DejaVu fonts, which are part of the matplotlib package, without ligatures."""
    file = package_file("matplotlib", f"mpl-data/fonts/ttf/{name}.ttf")
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
