"""A self-contained HTML page of tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from matplotlib.figure import Figure

from bench.reporting import plots
from bench.reporting.tables import Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6470; --line: #d9dde3;
  --page: #fbfbfa; --card: #ffffff; --warn: #9a3b00; --warn-soft: #fdeee3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ae; --line: #343a42;
  --page: #14171a; --card: #1b1f23; --warn: #ffb27a; --warn-soft: #3a261a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -.02em; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; line-height: 1.3; letter-spacing: -.01em; margin: 3.5rem 0 .75rem;
  padding-top: 1.25rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 0 0 .25rem; }
p { max-width: 46rem; margin: .4rem 0 1rem; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
figure, .table { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.25rem; margin: 1.25rem 0; }
figure svg { display: block; width: 100%; height: auto; margin: .75rem 0 .25rem; }
figcaption { max-width: 46rem; }
.table { overflow-x: auto; padding: 1rem 1.25rem .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; padding: .6rem 0 .3rem; }
th, td { padding: .38rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { font-weight: 600; color: var(--soft); white-space: normal; vertical-align: bottom; }
tbody tr { border-top: 1px solid var(--line); }
tr.marked td { background: var(--warn-soft); color: var(--warn); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem;
  font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { background: none; } figure, .table { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Plot:
    """A figure, a heading that states its result, and how to read it."""

    heading: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading that states a result, and the tables and plots that show it."""

    heading: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def page(title: str, subtitle: str, sections: Sequence[Section], mark: str = "") -> str:
    """The HTML; table rows with a cell equal to `mark` are highlighted."""
    body = "\n".join(_section(section, mark) for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(subtitle)}</p>\n'
        f"{body}\n</main></body></html>\n"
    )


def _section(section: Section, mark: str) -> str:
    parts = [f"<section><h2>{escape(section.heading)}</h2>"]
    parts += [f"<p>{escape(text)}</p>" for text in section.paragraphs]
    parts += [_table(table, mark) for table in section.tables]
    parts += [_plot(plot) for plot in section.plots]
    if section.facts:
        facts = section.facts.items()
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
        parts.append(f"<dl>{rows}</dl>")
    return "\n".join([*parts, "</section>"])


def _table(table: Table, mark: str) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "\n".join(_row(row, mark in row) for row in table.rows)
    note = f"<caption>{escape(table.note)}</caption>" if table.note else ""
    return (
        f'<div class="table"><h3>{escape(table.title)}</h3><table>{note}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _row(cells: Sequence[str], marked: bool) -> str:
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="marked">{shown}</tr>' if marked else f"<tr>{shown}</tr>"


def _plot(plot: Plot) -> str:
    return (
        f'<figure role="img" aria-label="{escape(plot.heading)}"><h3>{escape(plot.heading)}</h3>'
        f"{plots.svg(plot.figure)}<figcaption>{escape(plot.caption)}</figcaption></figure>"
    )
