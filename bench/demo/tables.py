"""The tables of the page: truth beside result, with what differs marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.demo.findings import TITLES, Findings, Portrait
from bench.demo.markup import Markup, element, join, table
from bench.demo.requests import Reply
from bench.demo.scoring import Sight
from bench.demo.words import Comparison, Piece

NOTHING = Markup("")


def speech(findings: Findings) -> Markup:
    """Sentence by sentence, with the words that differ marked."""
    if findings.speech is None:
        return NOTHING
    rows = [
        [_seconds(sentence.start_s), *_beside(comparison, " "), f"{comparison.rate:.0%}"]
        for sentence, comparison in zip(findings.truth.sentences, findings.speech, strict=True)
    ]
    return table(["at", "said", "heard", "#WER"], rows, "stack")


def texts(findings: Findings) -> Markup:
    """Line by line, with the characters that differ marked; then what else was read."""
    score = findings.texts
    if score is None:
        return NOTHING
    fps = findings.truth.fps
    rows = [
        [
            _seconds(reading.line.frames.first / fps),
            *_beside(reading.worst, ""),
            f"{reading.all.rate:.0%}",
        ]
        for reading in score.readings
    ]
    shown = table(["from", "drawn", "read", "#CER"], rows, "tight")
    if not score.others:
        return shown
    others = f"Also read, as signs in photographs or by mistake: {', '.join(score.others)}."
    return join([shown, element("p", others, class_="soft")])


def photographs(findings: Findings) -> Markup:
    """Photograph by photograph, and then the objects that were found outside of them."""
    if all(portrait.objects is None for portrait in findings.portraits):
        return NOTHING
    rows = [_portrait(portrait, findings.truth.fps) for portrait in findings.portraits]
    if findings.elsewhere:
        rows.append(["", "no photograph", "", _sights(findings.elsewhere), ""])
    return table(["from", "photograph", "expected labels", "other labels", "#faces"], rows, "stack")


def _portrait(portrait: Portrait, fps: int) -> list[str]:
    photograph = portrait.shown.photograph
    sights = portrait.objects or ()
    faces = portrait.faces.most if portrait.faces else 0
    return [
        _seconds(portrait.shown.frames.first / fps),
        photograph.credit.partition(":")[0],
        _sights([sight for sight in sights if sight.expected]),
        _sights([sight for sight in sights if not sight.expected]),
        f"{faces} of {photograph.faces}" if faces or photograph.faces else "none",
    ]


def _sights(sights: Sequence[Sight]) -> Markup:
    return join([_sight(sight) for sight in sights], ", ")


def _sight(sight: Sight) -> Markup:
    if not sight.found:
        return element("span", f"no {sight.label}", class_="no")
    count = f"{sight.most} × " if sight.most > 1 else ""
    text = f"{count}{sight.label} {sight.best:.2f}"
    return element("span", text, class_="yes" if sight.expected else None)


def shapes(findings: Findings) -> Markup:
    """Label by label."""
    score = findings.shapes
    if score is None:
        return NOTHING
    rows = []
    for label in sorted({match.true.label for match in score.matches}):
        own = score.of(label)
        lowest = min((match.iou for match in own.found), default=0.0)
        counts = str(len(own.matches)), str(len(own.found))
        rows.append([label, *counts, f"{own.mean_iou:.3f}", f"{lowest:.3f}"])
    return table(["shape", "#drawn", "#found", "#mean IoU", "#lowest IoU"], rows)


def cuts(findings: Findings) -> Markup:
    """Cut by cut."""
    if findings.cuts is None:
        return NOTHING
    fps = findings.truth.fps
    rows = [
        [str(made), _seconds(made / fps), *_cut(made, found, fps)]
        for made, found in findings.cuts.pairs
    ]
    return table(["#frame", "#made at", "#found at", "#frames off"], rows)


def _cut(made: int, found: int | None, fps: int) -> tuple[str, str]:
    if found is None:
        return element("span", "missed", class_="no"), ""
    return _seconds(found / fps), str(found - made)


def places(findings: Findings) -> Markup:
    """Frame by frame."""
    rows = []
    for item in findings.items("places", "classifications"):
        best = item["predictions"][0]
        where = "indoor" if item["indoor"] else "outdoor"
        at = _seconds(item["timestamp_ms"] / 1000)
        rows.append([at, best["label"], f"{best['confidence']:.2f}", where])
    return table(["at", "place", "#confidence", "indoor or outdoor"], rows) if rows else NOTHING


def provenance(findings: Findings) -> Markup:
    """Which weights, on which device, in which time."""
    columns = ["task", "model", "weights", "SHA-256", "device", "#decode", "#inference", "versions"]
    rows = [[TITLES[name], *_origin(findings.replies[name])] for name in TITLES]
    return table(columns, rows, "stack")


def _origin(reply: Reply) -> list[str]:
    if reply.response is None:
        return [reply.problem, *[""] * 6]
    origin, timings = reply.response["provenance"], reply.response["timings_ms"]
    digest = origin["weights_sha256"]
    return [
        origin["model_name"],
        "untrained stand-in" if reply.stand_in else "trained" if digest else "needs none",
        element("code", digest[:12]) if digest else "",
        f"{origin['device']}, {origin['precision']}",
        *(f"{timings[part] / 1000:.1f} s" for part in ("decode", "inference")),
        ", ".join(f"{name} {version}" for name, version in origin["versions"].items()),
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _beside(comparison: Comparison, space: str) -> tuple[Markup, Markup]:
    """The truth with what was missed marked, and the result with what replaced it marked."""
    pieces = comparison.pieces
    true = _marked(((piece, piece.true) for piece in pieces), "del", space)
    return true, _marked(((piece, piece.found) for piece in pieces), "ins", space)


def _marked(sides: Iterable[tuple[Piece, str]], tag: str, space: str) -> Markup:
    shown = (text if piece.kind == "equal" else element(tag, text) for piece, text in sides if text)
    return join(shown, space)
