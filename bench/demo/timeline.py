"""The clip over time as SVG: a lane for scenes, speech, text, and each label that was found."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bench.clips.narrated import Span
from bench.demo.findings import Findings
from bench.demo.markup import Markup, element
from bench.demo.pictures import BOXED, key_frames
from bench.demo.requests import BOXES_EVERY, Json

WIDTH, LEFT, RIGHT = 1200, 96, 8
_THUMB, _BAR, _CELL, _GAP = 62, 42, 18, 5
_LETTER = 6.1  # mean width of a letter of 11 px
_LINE = 12.5


class Timeline:
    """Lanes from top to bottom; `y` is where the next one begins."""

    def __init__(self, findings: Findings, colours: Mapping[str, str]) -> None:
        self._findings = findings
        self._colours = colours
        self._truth = findings.truth
        self._per_frame = (WIDTH - LEFT - RIGHT) / findings.truth.frame_count
        self._parts: list[Markup] = []
        self._y = 0.0

    def drawn(self) -> Markup:
        """The whole figure."""
        self._axis()
        self._scenes()
        self._speech()
        self._texts()
        for name in BOXED:
            self._cells(name)
        size = f"0 0 {WIDTH} {self._y:.0f}"
        about = "what was found over the time of the clip"
        svg = element("svg", *self._parts, viewBox=size, role="img", aria_label=about)
        return element("div", svg, class_="card scroll timeline")

    def _x(self, frame: float) -> float:
        return LEFT + frame * self._per_frame

    def _frame(self, time_ms: float) -> float:
        return time_ms * self._truth.fps / 1000

    def _label(self, text: str, height: float, class_: str = "lane") -> None:
        self._add("text", text, x=0, y=self._y + height / 2 + 4, class_=class_)

    def _add(self, tag: str, *content: str, **attributes: object) -> None:
        self._parts.append(element(tag, *content, **attributes))

    def _axis(self) -> None:
        for second in range(0, self._truth.frame_count // self._truth.fps + 1, 2):
            x = self._x(second * self._truth.fps)
            anchor = "end" if x > WIDTH - 2 * RIGHT else "middle" if second else "start"
            self._add("text", f"{second} s", x=x, y=10, class_="tick", text_anchor=anchor)
        self._y = 18

    def _scenes(self) -> None:
        """A picture for each scene, and a triangle for each cut: where it is, if it was found."""
        self._label("Scenes", _THUMB)
        for scene, frame in key_frames(self._truth).items():
            self._add(
                "image",
                href=f"thumb-{frame}.jpg",
                **self._bar(scene, _THUMB),
                preserveAspectRatio="xMidYMid slice",
            )
        self._y += _THUMB + 2
        for made, found in self._findings.cuts.pairs if self._findings.cuts else ():
            x, y = self._x(made), self._y
            kind, title = ("missed", "missed") if found is None else ("cut", f"found at {found}")
            points = f"{x:.1f},{y:.0f} {x - 5:.1f},{y + 8:.0f} {x + 5:.1f},{y + 8:.0f}"
            about = element("title", f"cut made at frame {made}, {title}")
            self._add("polygon", about, points=points, class_=kind)
        self._y += 8 + _GAP

    def _speech(self) -> None:
        """What was heard, and below it, when something was said."""
        self._label("Speech", _BAR)
        segments = self._findings.items("transcribe", "segments")
        for segment in segments:
            start, end = self._frame(segment["start_ms"]), self._frame(segment["end_ms"])
            self._written(start, end, segment["text"].strip(), "heard")
        self._absent("transcribe", _BAR)
        for sentence in self._truth.sentences:
            start, end = (t * self._truth.fps for t in (sentence.start_s, sentence.end_s))
            width = (end - start) * self._per_frame
            y = self._y + _BAR + 2
            self._add("rect", x=self._x(start), y=y, width=width, height=4, class_="said", rx=2)
        self._y += _BAR + 6 + _GAP

    def _texts(self) -> None:
        """What was read, scene by scene."""
        self._label("Text", _BAR)
        readings = self._findings.texts.readings if self._findings.texts else ()
        for scene in self._truth.scenes:
            read = [r.read for r in readings if r.line.frames == scene and r.read]
            if read:
                self._written(scene.first, scene.end, ", ".join(read), "read")
        self._absent("ocr", _BAR)
        self._y += _BAR + _GAP

    def _written(self, start: float, end: float, text: str, kind: str) -> None:
        """A bar with as much of a text as fits into it."""
        width = (end - start) * self._per_frame - 2
        x, most = self._x(start), max(4, int((width - 10) / _LETTER))
        title = element("title", text)
        bar = {"x": x, "y": self._y, "width": width, "height": _BAR}
        self._add("rect", title, **bar, rx=5, class_=kind)
        lines = textwrap.wrap(text, most, max_lines=3, placeholder=" …", break_on_hyphens=False)
        top = self._y + (_BAR - _LINE * len(lines)) / 2 + 10
        for place, line in enumerate(lines):
            y = top + _LINE * place
            self._add("text", line, x=x + 5, y=y, class_=f"{kind}-text")

    def _cells(self, name: str) -> None:
        """A row for each label, with a cell for each analysed frame."""
        rows: dict[str, dict[int, list[Json]]] = defaultdict(lambda: defaultdict(list))
        for detection in self._findings.items(name, "detections"):
            rows[detection["label"]][detection["frame_index"]].append(detection)
        if not rows:
            self._label(name.capitalize(), _CELL)
            self._absent(name, _CELL)
            self._y += _CELL + _GAP
        for label in sorted(rows):
            self._label(label, _CELL, "label")
            for frame, detections in rows[label].items():
                self._cell(label, frame, detections)
            self._y += _CELL + 3
        self._y += _GAP

    def _cell(self, label: str, frame: int, detections: Sequence[Json]) -> None:
        best = max(detection["confidence"] for detection in detections)
        title = element("title", f"{label} at frame {frame}, confidence {best:.2f}")
        end = next(scene.end for scene in self._truth.scenes if frame in scene)
        span = Span(frame, min(frame + BOXES_EVERY, end))
        cell = self._bar(span, _CELL)
        self._add("rect", title, **cell, rx=4, fill=self._colours[label], opacity=0.5 + best / 2)
        if len(detections) > 1:
            x, y = self._x((span.first + span.end) / 2), self._y + _CELL / 2 + 4
            self._add("text", f"×{len(detections)}", x=x, y=y, class_="count")

    def _bar(self, frames: Span, height: float) -> dict[str, object]:
        width = (frames.end - frames.first) * self._per_frame - 2
        return {"x": self._x(frames.first), "y": self._y, "width": width, "height": height}

    def _absent(self, name: str, height: float) -> None:
        reply = self._findings.replies[name]
        if reply.trained is None:
            why = "not shown: stand-in weights" if reply.stand_in else f"failed: {reply.problem}"
            y = self._y + height / 2 + 4
            self._add("text", why, x=LEFT + 4, y=y, class_="tick")
