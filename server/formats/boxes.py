"""What the formats of boxes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from ipc.results import BBox
from server.formats.format import Clip


class Boxed(Protocol):
    """An object or a face in one frame."""

    @property
    def frame_index(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def bbox(self) -> BBox: ...


def labels(items: Sequence[Boxed]) -> list[str]:
    """The labels that occur, in alphabetical order."""
    return sorted({item.label for item in items})


def by_frame(items: Sequence[Boxed]) -> dict[int, list[Boxed]]:
    """The items of each frame that has some; they are ordered by frame."""
    return {index: list(found) for index, found in groupby(items, key=lambda i: i.frame_index)}


def frame_name(clip: Clip, frame_index: int) -> str:
    """The name of a frame's image, without extension: `clip_000030`."""
    return f"{clip.stem}_{frame_index:06d}"
