"""The formats of a task, by the type of its items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from server.formats import coco, csv, cvat, labelstudio, srt, txt, vtt, yolo
from server.formats.format import Export


def tabular(kind: type[msgspec.Struct], field: str) -> Export:
    """CSV of the items, which are `kind`s, in a field of the response."""
    return Export(csv, lambda options, response: csv.table(kind, getattr(response, field)))


def of_boxes(kind: type[msgspec.Struct], field: str) -> tuple[Export, ...]:
    """The formats of boxes with labels, in a field of the response."""
    annotations = (coco, yolo, cvat, labelstudio)
    items = [
        Export(form, lambda options, response: getattr(response, field)) for form in annotations
    ]
    return tabular(kind, field), *items


def of_text(
    cues: Callable[[Any, Any], Any], lines: Callable[[Any, Any], Any]
) -> tuple[Export, ...]:
    """The formats of timed text, by what selects subtitles and lines from options and response."""
    return Export(srt, cues), Export(vtt, cues), Export(txt, lines)
