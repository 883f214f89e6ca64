"""Label Studio's JSON: one task with predictions for the tags Video and VideoRectangle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from server.formats.boxes import Boxed
from server.formats.format import Clip

NAME = "labelstudio"
MEDIA_TYPE = "application/x-labelstudio+json"
EXTENSION = "json"


def render(clip: Clip, items: Sequence[Boxed]) -> bytes:
    """For a labelling interface with `<Video name="video">` and `<VideoRectangle name="box">`."""
    scores = [item.confidence for item in items]
    prediction = {
        "model_version": "eioku-ml",
        "score": round(sum(scores) / len(scores), 4) if scores else 0.0,
        "result": [_region(clip, number, item) for number, item in enumerate(items)],
    }
    return msgspec.json.encode([{"data": {"video": clip.name}, "predictions": [prediction]}])


def _region(clip: Clip, number: int, item: Boxed) -> dict[str, Any]:
    """A region of one frame: frames count from 1, coordinates are percentages."""
    video, box = clip.video, item.bbox
    keyframe = {
        "frame": item.frame_index + 1,
        "time": item.timestamp_ms / 1000,
        "enabled": False,  # not beyond this frame
        "rotation": 0,
        "x": 100 * box.x / video.width,
        "y": 100 * box.y / video.height,
        "width": 100 * box.width / video.width,
        "height": 100 * box.height / video.height,
    }
    return {
        "id": f"box-{number}",
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "score": item.confidence,
        "value": {
            "framesCount": video.frame_count,
            "duration": video.duration_ms / 1000,
            "sequence": [keyframe],
            "labels": [item.label],
        },
    }
