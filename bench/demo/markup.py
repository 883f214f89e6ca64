"""Elements of HTML and SVG as text: every text and every attribute is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_VOID = {"image", "img", "line", "path", "polygon", "rect"}


class Markup(str):
    """Text that is HTML already, and must not be escaped again."""


def element(tag: str, *content: str, **attributes: object) -> Markup:
    """An element; `class_` is `class`, `a_b` is `a-b`; attributes that are None are left out."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID and not content:
        return Markup(f"<{tag}{named}/>" if tag != "img" else f"<{tag}{named}>")
    return Markup(f"<{tag}{named}>{join(content)}</{tag}>")


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """The parts one after the other; those that are no markup are escaped."""
    escaped = (part if isinstance(part, Markup) else escape(part) for part in parts)
    return Markup(separator.join(escaped))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> Markup:
    """A table in a card; a column whose name starts with # holds numbers."""
    classes = ["number" if name.startswith("#") else None for name in columns]
    names = [name.removeprefix("#") for name in columns]
    head = join(
        element("th", name, scope="col", class_=class_)
        for name, class_ in zip(names, classes, strict=True)
    )
    body = join(
        element(
            "tr",
            *(
                element("td", element("span", cell), class_=class_, data_name=name)
                for cell, class_, name in zip(row, classes, names, strict=True)
            ),
        )
        for row in rows
    )
    content = element("thead", element("tr", head)), element("tbody", body)
    return element("div", element("table", *content, class_=kind or None), class_="card table")


def palette(labels: Iterable[str]) -> dict[str, str]:
    """A bright colour for each label, as different as possible, that dark text can be read on."""
    names = sorted(set(labels))
    step = 360 / max(1, len(names))
    return {name: f"hsl({place * step:.0f} 85% 66%)" for place, name in enumerate(names)}


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
