"""The demo as one HTML page without scripts: pictures, timeline, and truth beside result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from bench.demo import pictures, tables
from bench.demo.findings import TITLES, Findings, Measure, measures
from bench.demo.markup import Markup, element, join, palette
from bench.demo.timeline import Timeline

_STYLE = Path(__file__).with_name("page.css")


def write(findings: Findings, clip: Path, folder: Path) -> Path:
    """Write `index.html` and its pictures beside the clip; return its path."""
    pictures.save(clip, pictures.key_frames(findings.truth).values(), folder)
    path = folder / "index.html"
    path.write_text(html(findings, clip.name), encoding="utf-8")
    return path


def html(findings: Findings, clip: str) -> str:
    """The page; `clip` is the name of the video beside it."""
    shown = measures(findings)
    head = (
        '<meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Eioku ML service: demo</title><style>{_STYLE.read_text()}</style>"
    )
    body = join([_header(findings, shown, clip), *_sections(findings), _footer(findings)])
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n'
        f"<body><main>{body}</main></body></html>\n"
    )


def _header(findings: Findings, shown: Sequence[Measure], clip: str) -> Markup:
    truth = findings.truth
    seconds = truth.frame_count / truth.fps
    poster = f"frame-{next(iter(pictures.key_frames(truth).values()))}.jpg"
    video = element("video", src=clip, poster=poster, controls="", preload="none")
    return join(
        [
            element("p", "Eioku ML service · demo", class_="eyebrow"),
            element("h1", f"{seconds:g} seconds of video, six models, one decode"),
            element(
                "p",
                "The clip is generated, so every sentence, line of text, shape and cut in it is "
                "known. This page shows what the service found, beside what is true.",
            ),
            element("p", _facts(findings), class_="soft"),
            element("div", video, _measures(shown), class_="top"),
            *_notice(findings, shown),
        ]
    )


def _facts(findings: Findings) -> str:
    truth = findings.truth
    responses = [reply.response for reply in findings.replies.values() if reply.response]
    devices = sorted({response["provenance"]["device"] for response in responses})
    return (
        f"{truth.width} × {truth.height}, {truth.fps} frames/s, {truth.frame_count} frames; "
        f"all requests took {findings.seconds:.1f} s on {', '.join(devices) or 'no device'}"
    )


def _measures(shown: Sequence[Measure]) -> Markup:
    boxes = (
        element(
            "div",
            element("dt", measure.title),
            element("dd", measure.value, class_="value"),
            element("dd", measure.note),
            class_=f"card {measure.state}",
        )
        for measure in shown
    )
    return element("dl", *boxes, class_="measures")


def _notice(findings: Findings, shown: Sequence[Measure]) -> list[Markup]:
    names = [measure.title.lower() for measure in shown if measure.state == "stand-in"]
    if not names:
        return []
    text = (
        f"Stand-in weights for {', '.join(names)}: they have the real architecture and file "
        "format, but they are untrained. Their results mean nothing and are not shown."
    )
    return [element("p", text, class_="notice")]


def _sections(findings: Findings) -> list[Markup]:
    found = (d["label"] for name in pictures.BOXED for d in findings.items(name, "detections"))
    colours = palette(found)
    return [
        _section(
            "Over time",
            "Triangles: cuts that were found. Dashed: when something was said. Cells: what was "
            "found in a frame of every second; × counts boxes.",
            Timeline(findings, colours).drawn(),
        ),
        _section(
            "Frame by frame",
            "One frame of each scene, with all that was found in it. Texts are outlined.",
            pictures.figures(findings, colours),
        ),
        *_tables(findings),
    ]


def _tables(findings: Findings) -> list[Markup]:
    """The sections with truth beside result; those that have nothing to show are left out."""
    false = findings.shapes.false if findings.shapes else 0
    shapes = _section(
        "Shapes",
        f"Drawn boxes, beside those that were found. {false} more lie where no shape was drawn.",
        tables.shapes(findings),
    )
    cuts = _section(
        "Cuts", "Where the clip cuts, beside where a scene begins.", tables.cuts(findings)
    )
    return [
        _section("Speech", "What was said, beside what was heard.", tables.speech(findings)),
        _section(
            "Text",
            "Each line that was drawn, beside what was read in its place; of the analysed "
            "frames, the one with the most errors.",
            tables.texts(findings),
        ),
        _section("Photographs", "Labels and faces.", tables.photographs(findings)),
        element("div", shapes, cuts, class_="pair"),
        _section("Places", "The most probable place of each frame.", tables.places(findings)),
    ]


def _section(title: str, note: str, content: Markup) -> Markup:
    """A section, or nothing if it has no content."""
    if not content:
        return Markup("")
    return element("section", element("h2", title), element("p", note, class_="soft"), content)


def _footer(findings: Findings) -> Markup:
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    files = [
        element("a", title.lower(), href=f"{name}.json")
        for name, title in TITLES.items()
        if findings.replies[name].response
    ]
    return element(
        "footer",
        element("h2", "Provenance"),
        tables.provenance(findings),
        element("p", "Complete responses: ", join(files, ", "), class_="soft"),
        element("p", "Photographs: ", pictures.photo_credits(findings.truth), class_="soft"),
        element("p", f"Written by `make demo`, {made}.", class_="soft"),
    )
