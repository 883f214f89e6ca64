"""Key frames of the clip as JPEG files, with what was found drawn over them as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import av
from PIL import Image

from bench.clips.narrated import Narrated, Span
from bench.demo.findings import Findings
from bench.demo.markup import Markup, element, join
from bench.demo.requests import SHAPES, TEXT_EVERY, Json
from bench.demo.scoring import corners

THUMB_WIDTH = 320
LEAST_CONFIDENCE = 0.3  # of texts: the service returns even those that it is least sure of
TEXT_COLOUR = "hsl(42 100% 60%)"
BOXED = ("objects", "faces", SHAPES)
_FONT_PX = 28
_LINE_PX = 40  # texts whose tops are closer than this are one line


def key_frames(truth: Narrated) -> dict[Span, int]:
    """For each scene its last frame that all visual tasks analysed."""
    analysed = range(0, truth.frame_count, TEXT_EVERY)
    return {scene: max(f for f in analysed if f in scene) for scene in truth.scenes}


def save(clip: Path, frames: Iterable[int], folder: Path) -> None:
    """Write the frames as `frame-N.jpg` and, small, as `thumb-N.jpg`."""
    wanted = set(frames)
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                image = frame.to_image()
                image.save(folder / f"frame-{index}.jpg", quality=85)
                height = round(image.height * THUMB_WIDTH / image.width)
                small = image.resize((THUMB_WIDTH, height), Image.Resampling.LANCZOS)
                small.save(folder / f"thumb-{index}.jpg", quality=85)


def figures(findings: Findings, colours: Mapping[str, str]) -> Markup:
    """A figure for each scene; `colours` has one for each label."""
    scenes = key_frames(findings.truth)
    cards = (
        _figure(findings, number, frame, colours) for number, frame in enumerate(scenes.values(), 1)
    )
    return element("div", *cards, class_="frames")


def _figure(findings: Findings, number: int, frame: int, colours: Mapping[str, str]) -> Markup:
    truth = findings.truth
    boxes = [(name, box) for name in BOXED for box in _items(findings, name, frame)]
    texts = [d for d in _items(findings, "ocr", frame) if d["confidence"] >= LEAST_CONFIDENCE]
    texts.sort(key=lambda text: (round(corners(text)[0][1] / _LINE_PX), corners(text)[0][0]))
    outlines = [_outline(box, colours[box["label"]]) for _, box in boxes]
    plates = [_plate(truth, name, box, colours[box["label"]]) for name, box in boxes]
    drawn = element(
        "svg",
        element("image", href=f"frame-{frame}.jpg", width=truth.width, height=truth.height),
        *(_polygon(text) for text in texts),
        *outlines,
        *plates,
        viewBox=f"0 0 {truth.width} {truth.height}",
        role="img",
        aria_label=f"scene {number}, with the boxes and texts that are listed below",
    )
    heading = element("strong", f"Scene {number}"), f" at {frame / truth.fps:.0f} s"
    chips = [
        *(_chip(box["label"], box["confidence"], colours[box["label"]]) for _, box in boxes),
        *(_chip(f"“{text['text']}”", text["confidence"], TEXT_COLOUR) for text in texts),
        *_place(findings, frame),
    ]
    caption = element("figcaption", *heading, element("ul", *chips, class_="chips"))
    return element("figure", drawn, caption, class_="card")


def _items(findings: Findings, name: str, frame: int) -> list[Json]:
    found = findings.items(name, "detections")
    return [detection for detection in found if detection["frame_index"] == frame]


def _outline(detection: Json, shade: str) -> Markup:
    style = {"fill": "none", "stroke": shade, "stroke_width": 5, "rx": 4}
    return element("rect", **detection["bbox"], **style)


def _plate(truth: Narrated, name: str, detection: Json, shade: str) -> Markup:
    """The label: of objects above the box, of others below it, so that they do not overlap."""
    box, text = detection["bbox"], f"{detection['label']} {detection['confidence']:.2f}"
    tall, wide = _FONT_PX + 10, 0.66 * _FONT_PX * len(text)
    top = box["y"] - tall if name == "objects" else box["y"] + box["height"]
    y = min(max(0.0, top), float(truth.height - tall))
    x = min(max(0.0, box["x"]), truth.width - wide)
    plate = element("rect", x=x, y=y, width=wide, height=tall, fill=shade, rx=4)
    place = {"x": x + 8, "y": y + _FONT_PX, "font_size": _FONT_PX, "font_weight": 600}
    return element("g", plate, element("text", text, **place, fill="#10131a"))


def _polygon(detection: Json) -> Markup:
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in corners(detection))
    title = element("title", f"{detection['text']} {detection['confidence']:.2f}")
    style = {"fill": TEXT_COLOUR, "fill_opacity": 0.12, "stroke": TEXT_COLOUR, "stroke_width": 4}
    return element("polygon", title, points=points, **style)


def _chip(name: str, confidence: float, shade: str) -> Markup:
    dot = element("i", style=f"background:{shade}")
    return element("li", dot, f"{name} ", element("span", f"{confidence:.2f}", class_="soft"))


def _place(findings: Findings, frame: int) -> list[Markup]:
    return [
        _chip(best["label"], best["confidence"], "var(--good)")
        for item in findings.items("places", "classifications")
        if item["frame_index"] == frame
        for best in item["predictions"][:1]
    ]


def photo_credits(truth: Narrated) -> Markup:
    """Who made the photographs."""
    return join([shown.photograph.credit for shown in truth.photographs], "; ")
