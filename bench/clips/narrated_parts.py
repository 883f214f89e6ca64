"""The eight parts of the narrated clip: what each shows, and what is said over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.clips import backdrops
from bench.clips.lettering import BOLD, Lettering, letter
from bench.clips.photographs import BUS, COFFEE, COLLINS, HOPPER, Photograph, pixels
from bench.clips.scenes import Scene, parade
from bench.clips.shapes import LABELS, Box, Colour, Frame

WIDTH, HEIGHT = SIZE = 1280, 720
_PALE, _AMBER, _INK = (170, 205, 255), (255, 190, 60), (16, 20, 34)
_PHOTO = (680, 60, 520, 600)  # left, top, width, height of a framed photograph
_BAND = 96  # height of the caption at the foot of the frame


@dataclass(frozen=True)
class Part:
    """A scene, its lines of text as boxes, its photograph, and the sentence over it."""

    scene: Scene
    sentence: str
    texts: tuple[Box, ...] = ()
    photograph: Photograph | None = None


def parts() -> list[Part]:
    """28.5 seconds: eight parts, seven cuts."""
    rng = np.random.default_rng(7)
    dawn = backdrops.gradient(*SIZE, (255, 214, 150), (240, 120, 110), 1.2)
    wall = backdrops.bricks(rng, *SIZE, (150, 140, 128))
    return [
        _title(3.5),
        _portrait(
            3.5,
            HOPPER,
            ("Grace Hopper", "Compiler pioneer", "United States Navy"),
            ((12, 24, 62), (52, 30, 96)),
            "Grace Hopper wrote one of the first compilers.",
        ),
        Part(
            parade(rng, 4.5, dawn, LABELS),
            "Every shape has a known position in every frame.",
        ),
        _captioned(3.5, BUS, "Zero emission bus", "People walk past an electric bus in the city."),
        _departures(4),
        _portrait(
            3,
            COFFEE,
            ("Coffee break", "Espresso 2.40", "Open until 18:00"),
            ((60, 34, 22), (24, 14, 12)),
            "A cup of coffee is waiting on the table.",
        ),
        Part(
            parade(rng, 3.5, wall, ("star", "circle", "square")),
            "More shapes appear in front of a brick wall.",
        ),
        _portrait(
            3,
            COLLINS,
            ("Eileen Collins", "Shuttle commander", "Thank you!"),
            ((6, 52, 60), (14, 18, 38)),
            "Eileen Collins commanded the space shuttle.",
        ),
    ]


def _title(seconds: float) -> Part:
    dusk = backdrops.gradient(*SIZE, (14, 22, 58), (92, 34, 120), 0.6)
    lines = [
        Lettering("Eioku ML service", 110, 200, 100, font=BOLD),
        Lettering("Decode once, run six models", 116, 360, 54, _PALE),
    ]
    sentence = "This clip was drawn and spoken by a program."
    return _still(seconds, dusk, lines, sentence)


def _departures(seconds: float) -> Part:
    board = np.full((HEIGHT, WIDTH, 3), _INK, np.uint8)
    rows = [
        ("08:45", "Lisbon", "Platform 2"),
        ("09:10", "Oslo", "Platform 7"),
        ("09:35", "Vienna", "Platform 4"),
        ("10:05", "Warsaw", "Platform 9"),
    ]
    lines = [Lettering("DEPARTURES", 90, 70, 72, _AMBER, BOLD)]
    for place, cells in enumerate(rows):
        top = 220 + 112 * place
        for text, left in zip(cells, (90, 400, 800), strict=True):
            lines.append(Lettering(text, left, top, 54, font=BOLD))
    sentence = "Passengers are waiting for the train to Lisbon."
    return _still(seconds, board, lines, sentence)


def _still(seconds: float, backdrop: Frame, lines: Sequence[Lettering], sentence: str) -> Part:
    frame, boxes = letter(backdrop, lines)
    return Part(Scene(seconds, lambda _: frame.copy()), sentence, boxes)


def _portrait(
    seconds: float,
    photograph: Photograph,
    words: tuple[str, str, str],
    colours: tuple[Colour, Colour],
    sentence: str,
) -> Part:
    """A photograph in a frame that is zoomed into slowly, with three lines beside it."""
    left, top, width, height = _PHOTO
    title, *details = words
    lines = [Lettering(title, 80, 190, 66, font=BOLD)]
    lines += [Lettering(text, 84, 320 + 80 * row, 46, _PALE) for row, text in enumerate(details)]
    card, boxes = letter(backdrops.gradient(*SIZE, *colours, 0.8), lines)
    card[top - 8 : top + height + 8, left - 8 : left + width + 8] = 245

    def view(share: float) -> Frame:
        frame = card.copy()
        frame[top : top + height, left : left + width] = backdrops.window(
            pixels(photograph), width, height, (0.5, 0.6), 1.1 + 0.1 * share
        )
        return frame

    return Part(Scene(seconds, view), sentence, boxes, photograph)


def _captioned(seconds: float, photograph: Photograph, caption: str, sentence: str) -> Part:
    """A slow pan over a photograph that fills the frame, with a caption at its foot."""
    blank = np.full((HEIGHT, WIDTH, 3), _INK, np.uint8)
    band, boxes = letter(blank, [Lettering(caption, 60, HEIGHT - _BAND + 18, 46, font=BOLD)])

    def view(share: float) -> Frame:
        centre = 0.5, 0.35 + 0.2 * share
        frame = backdrops.window(pixels(photograph), WIDTH, HEIGHT, centre, 1.0)
        frame[-_BAND:] = band[-_BAND:]
        return frame

    return Part(Scene(seconds, view), sentence, boxes, photograph)
