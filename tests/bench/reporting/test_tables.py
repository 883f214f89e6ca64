"""Tables, and their places in a results file."""

from __future__ import annotations

from pathlib import Path

from bench.reporting.tables import Table, write_results


def test_a_table_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nWritten by hand.\n\n<!-- b -->\nold\n<!-- /b -->\n\nAlso.\n")
    tables = [Table("a", "First", ("x", "y"), [("1", "2")], "A note."), Table("b", "B", ("z",), [])]
    write_results(path, tables, "python -m bench a", "Today, here")
    written = path.read_text()
    assert written.startswith("# Results\n\nWritten by hand.\n\n<!-- b -->\n### B")
    assert "old" not in written
    assert "Also." in written
    assert "| x | y |\n| --- | --- |\n| 1 | 2 |\n\nA note.\n<!-- /a -->" in written
    assert written.count("`python -m bench a`") == written.count("Today, here.") == 2
    write_results(path, tables, "python -m bench a", "Today, here")
    assert path.read_text() == written
