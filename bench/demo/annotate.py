"""Images of a task's results: boxes, texts and labels drawn on their frames."""

from __future__ import annotations

import colorsys
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageDraw, ImageFont

MOST_BOXES = 25
SHEET_COLUMNS = 3
THUMB_WIDTH = 420
MARGIN = 8
DARK = (16, 18, 24)
WHITE = (255, 255, 255)


def grab(path: Path, frame_indices: Iterable[int]) -> dict[int, Image.Image]:
    """Frames of a video by index, as images."""
    wanted = set(frame_indices)
    pictures = {}
    with av.open(str(path)) as container:
        for frame_index, frame in enumerate(container.decode(video=0)):
            if frame_index in wanted:
                pictures[frame_index] = frame.to_image()
            if len(pictures) == len(wanted):
                break
    return pictures


def boxes(path: Path, detections: Sequence[dict[str, Any]]) -> Image.Image:
    """The frame with the most detections, with the most confident ones drawn."""
    frame_index = _busiest(detections)
    picture = grab(path, [frame_index])[frame_index]
    draw = ImageDraw.Draw(picture)
    shown = [d for d in detections if d["frame_index"] == frame_index][:MOST_BOXES]
    for detection in shown:
        box, colour = detection["bbox"], _colour(detection["label"])
        corner = (box["x"], box["y"])
        draw.rectangle(
            (*corner, box["x"] + box["width"], box["y"] + box["height"]), None, colour, 4
        )
        _label(draw, corner, f"{detection['label']} {detection['confidence']:.2f}", colour)
    return picture


def texts(path: Path, detections: Sequence[dict[str, Any]]) -> Image.Image:
    """The frame with the most texts, each outlined and captioned."""
    frame_index = _busiest(detections)
    picture = grab(path, [frame_index])[frame_index]
    draw = ImageDraw.Draw(picture)
    for detection in [d for d in detections if d["frame_index"] == frame_index][:MOST_BOXES]:
        corners = [(point["x"], point["y"]) for point in detection["polygon"]]
        colour = _colour(detection["text"])
        draw.polygon(corners, None, colour, 3)
        _label(draw, corners[0], detection["text"], colour)
    return picture


def places(path: Path, classifications: Sequence[dict[str, Any]]) -> Image.Image:
    """A sheet of the classified frames, each with its top places."""
    captions = {
        item["frame_index"]: [
            f"{p['confidence']:.2f}  {p['label']}" for p in item["predictions"][:3]
        ]
        for item in classifications
    }
    return _sheet(path, captions)


def scenes(path: Path, found: Sequence[dict[str, Any]], fps: float) -> Image.Image:
    """A sheet with each scene's first frame and its times."""
    captions = {
        round(scene["start_ms"] * fps / 1000): [
            f"scene {scene['scene_index']}",
            f"{scene['start_ms'] / 1000:.2f} s to {scene['end_ms'] / 1000:.2f} s",
        ]
        for scene in found
    }
    return _sheet(path, captions)


def _sheet(path: Path, captions: dict[int, list[str]]) -> Image.Image:
    frames = grab(path, captions)
    thumbs = [_thumb(frames[index], lines) for index, lines in captions.items() if index in frames]
    width, height = thumbs[0].size
    rows = -(-len(thumbs) // SHEET_COLUMNS)
    columns = min(SHEET_COLUMNS, len(thumbs))
    sheet = Image.new(
        "RGB", (columns * (width + MARGIN) + MARGIN, rows * (height + MARGIN) + MARGIN), DARK
    )
    for i, thumb in enumerate(thumbs):
        row, column = divmod(i, SHEET_COLUMNS)
        sheet.paste(thumb, (MARGIN + column * (width + MARGIN), MARGIN + row * (height + MARGIN)))
    return sheet


def _thumb(frame: Image.Image, lines: Sequence[str]) -> Image.Image:
    thumb = frame.resize((THUMB_WIDTH, round(frame.height * THUMB_WIDTH / frame.width)))
    draw = ImageDraw.Draw(thumb, "RGBA")
    font = ImageFont.load_default(17)
    top = thumb.height - 24 * len(lines) - 8
    draw.rectangle((0, top, thumb.width, thumb.height), (*DARK, 190))
    for i, line in enumerate(lines):
        draw.text((8, top + 4 + 24 * i), line, WHITE, font)
    return thumb


def _busiest(detections: Sequence[dict[str, Any]]) -> int:
    counts = Counter(detection["frame_index"] for detection in detections)
    return counts.most_common(1)[0][0] if counts else 0


def _label(
    draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, colour: tuple[int, int, int]
) -> None:
    font = ImageFont.load_default(18)
    x, y = max(0.0, corner[0]), max(0.0, corner[1] - 24)
    left, top, right, bottom = draw.textbbox((x + 4, y + 1), text, font)
    draw.rectangle((left - 4, top - 3, right + 4, bottom + 3), colour)
    draw.text((x + 4, y + 1), text, DARK, font)


def _colour(label: str) -> tuple[int, int, int]:
    """A bright colour, constant per label."""
    hue = zlib.crc32(label.encode()) % 360 / 360
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)
