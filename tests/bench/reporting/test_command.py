"""Quick tables never replace those of a long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.reporting.environment import describe
from bench.reporting.tables import RESULTS, Table


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["all"], RESULTS),
        (["all", "--quick", "--output", "out"], Path("out/RESULTS-quick.md")),
        (["all", "--quick", "--write", "own.md"], Path("own.md")),
        (["limits"], None),
        (["limits", "--write", "own.md"], Path("own.md")),
    ],
)
def test_only_all_has_a_results_file_by_default(given: list[str], expected: Path | None) -> None:
    assert bench._results(bench._parser().parse_args(given)) == expected


def test_a_quick_table_has_a_name_of_its_own() -> None:
    table = Table("limits", "Limits", ("x",), [])
    assert bench._named(table, quick=False) is table
    assert bench._named(table, quick=True).name == "limits-quick"


def test_every_table_can_say_when_where_and_with_which_versions() -> None:
    words = describe()
    for part in (" UTC, commit ", " cores; Python 3.", "torch ", "ultralytics ", "scenedetect "):
        assert part in words
