"""Result tables: shown in a terminal and written into `bench/RESULTS.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as TerminalTable

RESULTS = Path(__file__).parent.parent / "RESULTS.md"


@dataclass(frozen=True)
class Table:
    """Rows of text under `columns`; `name` is unique, `note` says how to read them."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def show(self, console: Console) -> None:
        """Print the table."""
        shown = TerminalTable(*self.columns, title=self.title, caption=self.note or None)
        for row in self.rows:
            shown.add_row(*row)
        console.print(shown)

    def markdown(self, command: str, environment: str) -> str:
        """A section of Markdown, with the command that produced the numbers, when and where."""
        lines = [f"### {self.title}", "", f"`{command}`", "", f"{environment}.", ""]
        lines += [_row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row(row) for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else [])])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_results(path: Path, tables: Sequence[Table], command: str, environment: str) -> None:
    """Replace each table between its markers in the file; append tables without markers."""
    text = path.read_text() if path.exists() else "# Results\n"
    for table in tables:
        start, end = f"<!-- {table.name} -->", f"<!-- /{table.name} -->"
        section = f"{start}\n{table.markdown(command, environment)}\n{end}"
        before, known, rest = text.partition(start)
        if known:
            text = before + section + rest.partition(end)[2]
        else:
            text = f"{text.rstrip()}\n\n{section}\n"
    path.write_text(text)
