"""The photographs of the narrated clip: data files of installed packages, read where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from bench.clips.shapes import Frame


@dataclass(frozen=True)
class Photograph:
    """A file of a package, who made it, and what it shows: COCO labels and a number of faces."""

    package: str
    path: str
    credit: str
    labels: tuple[str, ...]
    faces: int


BUS = Photograph("ultralytics", "assets/bus.jpg", "Bus: part of ultralytics", ("bus", "person"), 2)
HOPPER = Photograph(
    "matplotlib",
    "mpl-data/sample_data/grace_hopper.jpg",
    "Grace Hopper: US Navy, public domain",
    ("person", "tie"),
    1,
)
COFFEE = Photograph("skimage", "data/coffee.png", "Coffee: Rachel Michetti, CC0", ("cup",), 0)
COLLINS = Photograph(
    "skimage", "data/astronaut.png", "Eileen Collins: NASA, public domain", ("person",), 1
)


def package_file(package: str, path: str) -> Path:
    """A data file of an installed package, which is located but not imported.

    Raises FileNotFoundError if the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{path} is part of the package {package}, which is not installed")
    return Path(spec.origin).parent / path


@cache
def pixels(photograph: Photograph) -> Frame:
    """The photograph as RGB (height, width, 3)."""
    file = package_file(photograph.package, photograph.path)
    return np.asarray(Image.open(file).convert("RGB"))
