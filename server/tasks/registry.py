"""The installed tasks, found through their entry points."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from server.tasks.task import Task

GROUP = "eioku_ml.tasks"

AnyTask = Task[Any, Any]


class BadTask(Exception):
    """An installed task cannot be used; the message is one line that names it."""


@cache
def installed() -> Mapping[str, AnyTask]:
    """Every installed task by its name, in alphabetical order; raises BadTask."""
    tasks: dict[str, AnyTask] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in tasks:
            raise BadTask(f"two installed packages define the task {entry.name!r}")
        tasks[entry.name] = _load(entry)
    return MappingProxyType(tasks)


@cache
def distribution(name: str) -> str:
    """The name and version of the package that an installed task is part of."""
    (entry,) = entry_points(group=GROUP, name=name)
    return "" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _load(entry: EntryPoint) -> AnyTask:
    where = f"the task {entry.name!r} ({entry.value}, group {GROUP})"
    try:
        task = entry.load()()
    except Exception as error:  # whatever another package's import may raise
        raise BadTask(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(task, Task):
        raise BadTask(f"{where} is no subclass of server.tasks.task.Task")
    if task.name != entry.name:
        raise BadTask(f"{where} calls itself {task.name!r}: the two names must be equal")
    return task
