"""The tables of README.md against the code, and the paths that the documents name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from documents import ROOT, quoted, table, text_of

from server.errors import STATUS
from server.settings import from_environ
from server.tasks.registry import installed

DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "RELIABILITY.md",
    "tests/example_task/README.md",
)
FULL_PATH = re.compile(r"(server|gpu_workers|ipc|bench|tests)/[\w/.]+")
PATH_IN_SERVER = re.compile(r"(http|analysis|children|frame_pool)/\w+")


class Recorded(Mapping[str, str]):
    """An environment that remembers which variables were read."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_settings(tmp_path: Path) -> None:
    environ = Recorded({"MODEL_CACHE_DIR": str(tmp_path)})
    settings = from_environ(environ, ())
    rows = table("README.md", "variable")
    assert {name for row in rows for name in quoted(row[0])} == environ.read
    defaults = {row[0].strip("`").lower(): row[1] for row in rows if row[1].split()[0].isdigit()}
    del defaults["frame_pool_mb"]  # the machine's
    assert len(defaults) == 8
    for name, default in defaults.items():
        assert getattr(settings, name) == int(default.split()[0]), name


def test_error_codes() -> None:
    rows = table("README.md", "status")
    listed = {code: int(row[0]) for row in rows for code in quoted(row[1]) if code in STATUS}
    assert listed == STATUS
    other = {word for row in rows for word in quoted(row[1])} - set(STATUS)
    assert other == {"errors", "Retry-After"}


def test_request_fields() -> None:
    rows = {row[0].strip("`"): row[1] for row in table("README.md", "task")}
    for name, cell in rows.items():
        listed = re.findall(r"`(\w+)` \(", cell)
        assert sorted(listed) == sorted(installed()[name].options.__struct_fields__), name
    assert set(rows) == builtin_tasks()


def builtin_tasks() -> set[str]:
    return {n for n, t in installed().items() if t.worker.startswith("gpu_workers.tasks.")}


def test_formats() -> None:
    """Each row has its formats, the tasks that have them, and their media types."""
    listed = {
        (task, name, media_type)
        for names, tasks, media_types, _ in table("README.md", "format")[1:]
        for name, media_type in zip(quoted(names), quoted(media_types), strict=True)
        for task in (builtin_tasks() if tasks == "all" else tasks.split(", "))
    }
    assert listed == {
        (name, export.format.NAME, export.format.MEDIA_TYPE)
        for name in builtin_tasks()
        for export in installed()[name].exports
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_paths_named_exist(name: str) -> None:
    text = text_of(name)
    for word in quoted(text):
        if FULL_PATH.fullmatch(word):
            assert (ROOT / word).exists(), word
        elif PATH_IN_SERVER.fullmatch(word):
            assert (ROOT / "server" / f"{word}.py").exists(), word
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / name).parent.joinpath(link).exists(), link
