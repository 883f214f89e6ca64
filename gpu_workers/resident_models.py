"""Keeps the models of this worker resident: loads them on first use, with LRU eviction."""

from __future__ import annotations

import importlib
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from gpu_workers.model import InvalidSpec, Model, Runtime, TaskModule
from gpu_workers.weights.errors import ModelUnavailable
from ipc.messages import TaskSpec

MOST_RESIDENT = 12
UNLOADABLE = (RuntimeError, ValueError, KeyError, EOFError, OSError, pickle.UnpicklingError)


class ResidentModels:
    """The resident models of one worker.

    `tasks` maps each task's name to its module. `failures` maps the names of models whose last
    loading failed to the reason.
    """

    def __init__(self, tasks: Mapping[str, str], runtime: Runtime) -> None:
        self._tasks = tasks
        self._runtime = runtime
        self._models: OrderedDict[str, Model] = OrderedDict()
        self.failures: dict[str, str] = {}

    def get(self, wanted: TaskSpec) -> tuple[Model, Any]:
        """The model, loaded if needed, and its spec; raises ModelUnavailable, InvalidSpec."""
        module = cast(TaskModule, importlib.import_module(self._tasks[wanted.task]))
        spec = msgspec.msgpack.decode(wanted.options, type=module.Spec)
        key = wanted.model_key
        name = key.removeprefix(f"{wanted.task}/")
        if key not in self._models:
            try:
                self._models[key] = self._load(module, spec, name)
            except ModelUnavailable as error:
                self.failures[name] = str(error)
                raise
            self.failures.pop(name, None)
        self._models.move_to_end(key)
        while len(self._models) > MOST_RESIDENT:
            self._models.popitem(last=False)
        return self._models[key], spec

    def _load(self, module: TaskModule, spec: Any, name: str) -> Model:
        try:
            return module.load(spec, self._runtime)
        except InvalidSpec:
            raise
        except UNLOADABLE as error:
            if type(error).__name__ == "OutOfMemoryError":
                raise
            raise ModelUnavailable(
                f"{name} cannot be loaded, its file is damaged or of another kind: {error}"
            ) from error
