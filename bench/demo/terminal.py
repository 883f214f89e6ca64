"""The report in the terminal: for each task, what it found beside what is true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.demo.findings import TITLES, Findings, Measure, Portrait, measures
from bench.demo.scoring import Sight
from bench.demo.words import Comparison, Piece

_STYLES = {"scored": "bold green", "stand-in": "yellow", "failed": "bold red"}
_MOST_OTHERS = 6


def report(console: Console, findings: Findings) -> None:
    """Print a heading for each task and its table, and at the end models and times."""
    tables = {
        "transcribe": _speech,
        "ocr": _texts,
        "shapes": _shapes,
        "scenes": _cuts,
        "objects": _objects,
        "places": _places,
    }
    for measure in measures(findings):
        console.print(_heading(measure, findings))
        if measure.state == "scored":
            if measure.name in tables:
                console.print(tables[measure.name](findings))
            console.print()
    console.rule("Models and times")
    console.print(_timings(findings))


def _heading(measure: Measure, findings: Findings) -> Text:
    line = Text.assemble((f"{measure.title:9}", "bold"), (measure.value, _STYLES[measure.state]))
    response = findings.replies[measure.name].response
    if measure.state == "stand-in" and response is not None:
        name = response["provenance"]["model_name"]
        return line.append(f"  {name}: its result means nothing", "yellow")
    return line.append(f"  {measure.note}")


def _timings(findings: Findings) -> Table:
    """Which model ran where, and for how long."""
    table = _table("", "model", "device", "precision", "inference s", "total s")
    for name, title in TITLES.items():
        response = findings.replies[name].response
        if response is not None:
            provenance, timings = response["provenance"], response["timings_ms"]
            what = (provenance[field] for field in ("model_name", "device", "precision"))
            seconds = (f"{timings[part] / 1000:.1f}" for part in ("inference", "total"))
            table.add_row(title, *what, *seconds, style="yellow" if provenance["stand_in"] else "")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _speech(findings: Findings) -> Table:
    table = _table("", "said", "heard")
    lines = zip(findings.truth.sentences, findings.speech or (), strict=True)
    for sentence, comparison in lines:
        table.add_row(f"{sentence.start_s:5.1f} s", *_beside(comparison, " "))
    return table


def _texts(findings: Findings) -> Table:
    """One row for each scene with text; its lines are joined."""
    table = _table("", "drawn", "read")
    score = findings.texts
    for scene in findings.truth.scenes:
        own = [r for r in score.readings if r.line.frames == scene] if score else []
        if own:
            pairs = [_beside(reading.worst, "") for reading in own]
            sides = (Text(" · ").join(side) for side in zip(*pairs, strict=True))
            table.add_row(f"{scene.first / findings.truth.fps:5.1f} s", *sides)
    if score and score.others:
        table.add_row("also", "", Text(_some(score.others), "dim"))
    return table


def _shapes(findings: Findings) -> Table:
    table = _table("", "drawn", "found", "mean IoU", "lowest IoU")
    score = findings.shapes
    labels = sorted({match.true.label for match in score.matches}) if score else []
    for label in labels:
        own = score.of(label) if score else None
        if own:
            lowest = min((match.iou for match in own.found), default=0.0)
            counts = str(len(own.matches)), str(len(own.found))
            table.add_row(label, *counts, f"{own.mean_iou:.3f}", f"{lowest:.3f}")
    return table


def _cuts(findings: Findings) -> Table:
    fps = findings.truth.fps
    pairs = findings.cuts.pairs if findings.cuts else ()
    table = _table("made", *(f"{made / fps:.2f}" for made, _ in pairs))
    found = ("missed" if there is None else f"{there / fps:.2f}" for _, there in pairs)
    table.add_row("found", *found)
    return table


def _objects(findings: Findings) -> Table:
    table = _table("", "expected", "also found", "faces")
    for portrait in findings.portraits:
        sights = portrait.objects or ()
        expected = Text(", ").join(_sight(s) for s in sights if s.expected)
        more = Text(", ").join(_sight(s) for s in sights if not s.expected)
        at = f"{portrait.shown.frames.first / findings.truth.fps:5.1f} s"
        table.add_row(at, expected, more, _faces(portrait))
    if findings.elsewhere:
        names = Text(", ").join(_sight(sight) for sight in findings.elsewhere)
        table.add_row("elsewhere", "", names, "")
    return table


def _faces(portrait: Portrait) -> str:
    there = portrait.shown.photograph.faces
    found = portrait.faces.most if portrait.faces else 0
    return f"{found} of {there}" if found or there else "none"


def _places(findings: Findings) -> Table:
    table = _table("", "place", "confidence", "")
    for item in findings.items("places", "classifications"):
        best = item["predictions"][0]
        where = "indoor" if item["indoor"] else "outdoor"
        at = f"{item['timestamp_ms'] / 1000:5.1f} s"
        table.add_row(at, best["label"], f"{best['confidence']:.2f}", where)
    return table


def _sight(sight: Sight) -> Text:
    if not sight.found:
        return Text(f"no {sight.label}", "red")
    count = f"{sight.most} × " if sight.most > 1 else ""
    return Text(f"{count}{sight.label} {sight.best:.2f}", "green" if sight.expected else "")


def _beside(comparison: Comparison, space: str) -> tuple[Text, Text]:
    """The truth, and what was found, with what differs in colour."""
    pieces = comparison.pieces
    true = _joined(((piece, piece.true) for piece in pieces), "red", space)
    return true, _joined(((piece, piece.found) for piece in pieces), "yellow", space)


def _joined(sides: Iterable[tuple[Piece, str]], style: str, space: str) -> Text:
    words = [
        Text(text, "" if piece.kind == "equal" else f"bold {style}")
        for piece, text in sides
        if text
    ]
    return Text(space).join(words)


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_OTHERS
    return ", ".join(texts[:_MOST_OTHERS]) + (f" and {more} more" if more > 0 else "")
