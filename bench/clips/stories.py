"""The scenes of the demo, of the benchmark clip and of the small clips."""

import numpy as np

from bench.clips import backdrops
from bench.clips.scenes import Line, Scene, card, pan, parade
from bench.clips.shapes import LABELS, vivid

_PALE, _AMBER = (170, 205, 255), (255, 190, 60)
_WORDS = ("amber", "bridge", "canyon", "delta", "forest", "harbour", "lantern", "meadow", "river")


def demo(width: int, height: int) -> list[Scene]:
    """29 seconds: eight scenes, seven cuts."""
    rng = np.random.default_rng(7)
    size = width, height
    title = [
        Line("Eioku ML service", 0.16, 0.2, 0.17),
        Line("decode once,", 0.16, 0.5, 0.085, _PALE),
        Line("run six models", 0.16, 0.62, 0.085, _PALE),
    ]
    thanks = [Line("Thank you", 0.5, 0.36, 0.16), Line("for watching", 0.5, 0.57, 0.09, _PALE)]
    dusk = backdrops.gradient(*size, (14, 22, 58), (92, 34, 120), 0.6)
    dawn = backdrops.gradient(*size, (255, 214, 150), (240, 120, 110), 1.2)
    wall = backdrops.bricks(rng, *size, (150, 140, 128))
    sky = backdrops.clouds(rng, *size, (30, 70, 140), (120, 185, 225))
    night = backdrops.gradient(*size, (8, 60, 66), (16, 20, 40), 0.9)
    return [
        card(3, dusk, title),
        parade(rng, 4.5, dawn, LABELS),
        pan(3.5, "bus.jpg", size, (0.5, 0.45, 1.0), (0.5, 0.75, 1.1)),
        parade(rng, 4, wall, ("star", "circle", "square")),
        card(3.5, np.full((height, width, 3), 20, np.uint8), _departures()),
        pan(3.5, "zidane.jpg", size, (0.5, 0.5, 1.0), (0.7, 0.2, 1.3)),
        parade(rng, 4, sky, ("triangle", "star", "circle", "square", "triangle")),
        card(3, night, thanks),
    ]


def takes(seed: int, seconds: float, scene_s: float, width: int, height: int) -> list[Scene]:
    """Scenes of `scene_s` seconds (the last may be shorter): shapes on three kinds of backdrop,
    a text card and a photograph, in turn."""
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    while (left := seconds - len(scenes) * scene_s) > 0:
        scenes.append(_take(rng, len(scenes), min(left, scene_s), (width, height)))
    return scenes


def _take(rng: np.random.Generator, number: int, seconds: float, size: tuple[int, int]) -> Scene:
    dark, bright = vivid(rng, (0.1, 0.35)), vivid(rng, (0.7, 1.0))
    labels = rng.permutation(LABELS)[: rng.integers(2, 5)].tolist()
    match number % 5:
        case 0:
            return parade(rng, seconds, backdrops.gradient(*size, dark, bright, 1.0), labels)
        case 1:
            words = [" ".join(rng.choice(_WORDS, 2)) + f" {number:02}" for _ in range(4)]
            lines = [Line(text, 0.15, 0.15 + 0.18 * row, 0.1) for row, text in enumerate(words)]
            return card(seconds, backdrops.gradient(*size, dark, (0, 0, 0), 0.5), lines)
        case 2:
            return parade(rng, seconds, backdrops.clouds(rng, *size, bright, dark), labels)
        case 3:
            name = backdrops.PHOTOS[number // 5 % len(backdrops.PHOTOS)]
            return pan(seconds, name, size, (0.3, 0.4, 1.0), (0.7, 0.6, 1.3))
        case _:
            return parade(rng, seconds, backdrops.bricks(rng, *size, bright), labels)


def _departures() -> list[Line]:
    rows = [
        ("08:45", "Lisbon", "Gate 12"),
        ("09:10", "Oslo", "Gate 7"),
        ("09:35", "Nairobi", "Gate 31"),
        ("10:05", "Montreal", "Gate 4"),
    ]
    lines = [Line("DEPARTURES", 0.12, 0.1, 0.11, _AMBER)]
    for row, cells in enumerate(rows):
        for text, left in zip(cells, (0.12, 0.5, 1.2), strict=True):
            lines.append(Line(text, left, 0.32 + 0.15 * row, 0.085))
    return lines
