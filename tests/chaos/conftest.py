"""Prints the tables of the chaos tests when all have run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from outcomes import Table

TABLES = pytest.StashKey[list[Table]]()


@pytest.fixture
def new_table(request: pytest.FixtureRequest) -> Callable[[str], Table]:
    """Creates the table of a part of the suite; it is printed at the end."""

    def new(part: str) -> Table:
        table = Table(part)
        request.config.stash.setdefault(TABLES, []).append(table)
        return table

    return new


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tables = config.stash.get(TABLES, [])
    if tables:
        terminalreporter.section("injected faults and their outcomes")
    for table in tables:
        for line in table.lines():
            terminalreporter.write_line(line)
