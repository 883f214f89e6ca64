"""The page: well-formed, complete, and safe for any text."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from demo_replies import TRUTH, replies, segment, text
from rich.console import Console

from bench.clips.generate import make_small
from bench.demo import page
from bench.demo.findings import TITLES, Findings, score
from bench.demo.requests import Reply
from bench.demo.terminal import report

HOSTILE = "<script>alert('x')</script> & \"</td>"
VOID = {"meta"}


class Page(HTMLParser):
    """Checks that elements nest, and collects their names, texts and references."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.references: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        assert len(named) == len(attrs)
        self.references |= {named[key] or "" for key in ("src", "href", "poster") if key in named}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def findings_of(given: dict[str, Reply]) -> Findings:
    return score(TRUTH, given, 12.3)


def written(given: dict[str, Reply], folder: Path) -> Page:
    clip = folder / "demo.mp4"
    make_small(clip, seconds=5, audio=False)
    return Page(page.write(findings_of(given), clip, folder).read_text())


def test_the_page_nests_and_every_reference_exists(tmp_path: Path) -> None:
    parsed = written(replies(), tmp_path)
    responses = {f"{name}.json" for name in TITLES}
    assert responses < parsed.references
    pictures = {f"{kind}-{frame}.jpg" for kind in ("frame", "thumb") for frame in (60, 120)}
    assert parsed.references - responses == {"demo.mp4", *pictures}
    assert all((tmp_path / name).exists() for name in parsed.references - responses)
    assert not {"script", "link", "iframe"} & parsed.tags
    assert {"WER 0.0%", "CER 0.0%", "IoU 1.00"} <= set(parsed.texts)


def test_texts_are_escaped() -> None:
    line = TRUTH.texts[0].box
    given = replies(
        transcribe={"segments": [segment(HOSTILE)]},
        ocr={"detections": [text(0, line, HOSTILE), text(60, line, HOSTILE)]},
    )
    parsed = Page(page.html(findings_of(given), "demo.mp4"))
    assert "script" not in parsed.tags
    assert any(HOSTILE in found for found in parsed.texts)
    assert "A<B" in parsed.texts


def test_stand_ins_show_a_notice_in_place_of_results() -> None:
    names = ("transcribe", "ocr", "objects", "faces", "places")
    parsed = Page(page.html(findings_of(replies(names)), "demo.mp4"))
    shown = " ".join(parsed.texts)
    assert "Stand-in weights for speech, text, objects, faces, places" in shown
    assert "Bus stop" not in shown
    assert "WER" not in shown
    assert "IoU 1.00" in shown


def test_a_failed_task_says_why() -> None:
    given = replies()
    given["ocr"] = Reply("ocr", None, "model_unavailable: no weights <here>")
    assert (
        "model_unavailable: no weights <here>"
        in Page(page.html(findings_of(given), "demo.mp4")).texts
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_has_a_line_for_each_task_and_fits(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    given = replies(("places",))
    given["faces"] = Reply("faces", None, "no_worker_ready: none")
    report(console, findings_of(given))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) <= width
    for title in TITLES.values():
        assert any(line.startswith(title) for line in lines)
    assert "Places   stand-in  places.pt: its result means nothing" in lines
    assert "Faces    failed  no_worker_ready: none" in lines


def test_the_terminal_does_not_take_texts_for_markup() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    report(console, findings_of(replies(transcribe={"segments": [segment("[bold]The bus[/]")]})))
    assert "[bold]The bus[/]" in console.export_text()
