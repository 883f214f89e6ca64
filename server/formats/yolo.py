"""YOLO's format as a zip: `labels/<frame>.txt` with normalised boxes, and `data.yaml`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence

from server.formats.boxes import Boxed, by_frame, frame_name, labels
from server.formats.format import Clip

NAME = "yolo"
MEDIA_TYPE = "application/x-yolo+zip"
EXTENSION = "zip"


def render(clip: Clip, items: Sequence[Boxed]) -> bytes:
    """One file per frame that has boxes: a line has class, centre, width and height."""
    names = labels(items)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        _add(archive, "data.yaml", _data_yaml(names))
        for index, found in by_frame(items).items():
            lines = (_line(clip, names.index(item.label), item) for item in found)
            _add(archive, f"labels/{frame_name(clip, index)}.txt", "".join(lines))
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    """With the same time of modification every time."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o644 << 16
    archive.writestr(member, text, zipfile.ZIP_DEFLATED)


def _data_yaml(names: Sequence[str]) -> str:
    """A list in JSON is one in YAML, too."""
    listed = json.dumps(names, ensure_ascii=False)
    return f"train: images\nval: images\nnc: {len(names)}\nnames: {listed}\n"


def _line(clip: Clip, category: int, item: Boxed) -> str:
    """The box within the frame, as fractions of its size."""
    box, width, height = item.bbox, clip.video.width, clip.video.height
    left, right = _inside(box.x, width), _inside(box.x + box.width, width)
    top, bottom = _inside(box.y, height), _inside(box.y + box.height, height)
    numbers = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return f"{category} " + " ".join(f"{number:.6f}" for number in numbers) + "\n"


def _inside(pixels: float, size: int) -> float:
    return min(max(pixels / size, 0.0), 1.0)
