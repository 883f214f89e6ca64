"""COCO's format of object detection: one image per frame that has boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import msgspec

from server.formats.boxes import Boxed, by_frame, frame_name, labels
from server.formats.format import Clip

NAME = "coco"
MEDIA_TYPE = "application/x-coco+json"
EXTENSION = "json"


def render(clip: Clip, items: Sequence[Boxed]) -> bytes:
    """An image's id is its frame's index. Confidence is `score`, as in COCO's results."""
    names = labels(items)
    numbers = count(1)
    document = {
        "info": {"description": clip.name},
        "licenses": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "images": [_image(clip, found[0]) for found in by_frame(items).values()],
        "annotations": [
            _annotation(next(numbers), names.index(item.label) + 1, item) for item in items
        ],
    }
    return msgspec.json.encode(document)


def _image(clip: Clip, item: Boxed) -> dict[str, Any]:
    return {
        "id": item.frame_index,
        "file_name": f"{frame_name(clip, item.frame_index)}.jpg",
        "width": clip.video.width,
        "height": clip.video.height,
        "timestamp_ms": item.timestamp_ms,
    }


def _annotation(number: int, category: int, item: Boxed) -> dict[str, Any]:
    box = item.bbox
    return {
        "id": number,
        "image_id": item.frame_index,
        "category_id": category,
        "bbox": [box.x, box.y, box.width, box.height],
        "area": round(box.width * box.height, 2),
        "iscrowd": 0,
        "segmentation": [],
        "score": item.confidence,
    }
