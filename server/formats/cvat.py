"""CVAT's format for videos, XML 1.1. A box is a track of one frame, since nothing links boxes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from server.formats.boxes import Boxed, labels
from server.formats.format import Clip

NAME = "cvat"
MEDIA_TYPE = "application/x-cvat+xml"
EXTENSION = "xml"


def render(clip: Clip, items: Sequence[Boxed]) -> bytes:
    """A box is visible in its own frame only: the frames between were not analysed."""
    root = ET.Element("annotations")
    _text(root, "version", "1.1")
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    _text(task, "name", clip.stem)
    _text(task, "size", str(clip.video.frame_count))
    _text(task, "mode", "interpolation")
    declared = ET.SubElement(task, "labels")
    for name in labels(items):
        label = ET.SubElement(declared, "label")
        _text(label, "name", name)
        _text(label, "type", "rectangle")
        ET.SubElement(label, "attributes")
    size = ET.SubElement(task, "original_size")
    _text(size, "width", str(clip.video.width))
    _text(size, "height", str(clip.video.height))
    _text(task, "source", clip.name)
    for number, item in enumerate(items):
        _track(root, number, item, clip.video.frame_count)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _track(root: ET.Element, number: int, item: Boxed, frames: int) -> None:
    track = ET.SubElement(root, "track", id=str(number), label=item.label, source="auto")
    _box(track, item, item.frame_index, outside="0")
    if item.frame_index + 1 < frames:
        _box(track, item, item.frame_index + 1, outside="1")


def _box(track: ET.Element, item: Boxed, frame: int, outside: str) -> None:
    box = item.bbox
    ET.SubElement(
        track,
        "box",
        frame=str(frame),
        outside=outside,
        occluded="0",
        keyframe="1",
        xtl=f"{box.x:.2f}",
        ytl=f"{box.y:.2f}",
        xbr=f"{box.x + box.width:.2f}",
        ybr=f"{box.y + box.height:.2f}",
        z_order="0",
    )


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text
