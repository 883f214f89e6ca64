"""Only a task's own files know it by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.tasks.registry import installed

ROOT = Path(__file__).parents[3]
NAMELESS = [
    *(ROOT / "server" / part for part in ("analysis", "children", "frame_pool", "http")),
    ROOT / "ipc",
    *(ROOT / "server" / name for name in ("app.py", "service.py", "metrics.py", "settings.py")),
    *(ROOT / "gpu_workers" / name for name in ("resident_models.py", "worker.py", "model.py")),
]


def sources() -> Iterator[Path]:
    for place in NAMELESS:
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_string_is_a_tasks_name(path: Path) -> None:
    strings = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not strings & set(installed())


def test_the_six_are_found_as_any_other() -> None:
    assert {"faces", "objects", "ocr", "places", "scenes", "transcribe"} <= set(installed())
    for name, task in installed().items():
        assert task.name == name
        assert task.worker.startswith("gpu_workers.tasks.")
