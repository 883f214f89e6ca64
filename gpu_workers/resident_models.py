"""Keeps the models of this worker resident: loads them on first use, with LRU eviction."""

from __future__ import annotations

import importlib
import logging
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

import msgspec

from gpu_workers.device_errors import Fault, fault_of
from gpu_workers.device_memory import allocated_bytes, empty_caches, free_bytes, model_bytes
from gpu_workers.model import InvalidSpec, Model, Runtime, TaskModule
from gpu_workers.model_states import ModelFiles
from gpu_workers.weights.errors import ModelUnavailable
from ipc.messages import ModelInfo, TaskSpec

UNLOADABLE = (RuntimeError, ValueError, KeyError, EOFError, OSError, pickle.UnpicklingError)
MB = 1 << 20

log = logging.getLogger(__name__)


@dataclass
class _Resident:
    model: Model
    size_bytes: int
    last_used: float


class ResidentModels:
    """The resident models of one worker, least recently used first, in `budget_bytes` of memory.

    The model in use stays, even if it alone is larger. `tasks` maps each task's name to its module.
    """

    def __init__(
        self, tasks: Mapping[str, str], runtime: Runtime, files: ModelFiles, budget_bytes: int
    ) -> None:
        self._tasks = tasks
        self._runtime = runtime
        self._files = files
        self.budget_bytes = budget_bytes
        self._models: OrderedDict[str, _Resident] = OrderedDict()

    @property
    def infos(self) -> dict[str, ModelInfo]:
        """The models that are loaded now, by their key."""
        return {key: resident.model.info for key, resident in self._models.items()}

    @property
    def size_bytes(self) -> int:
        """The memory of all of them."""
        return sum(resident.size_bytes for resident in self._models.values())

    def get(self, wanted: TaskSpec) -> tuple[Model, Any]:
        """The model, loaded if needed, and its spec; raises ModelUnavailable, InvalidSpec."""
        module = cast(TaskModule, importlib.import_module(self._tasks[wanted.task]))
        spec = msgspec.msgpack.decode(wanted.options, type=module.Spec)
        if wanted.model_key not in self._models:
            self._add(wanted, module, spec)
        self.touch(wanted.model_key)
        return self._models[wanted.model_key].model, spec

    def touch(self, key: str) -> None:
        """The model was used just now."""
        self._models[key].last_used = monotonic()
        self._models.move_to_end(key)

    def evict_others(self, key: str) -> None:
        """Evict all models but one, and return their memory."""
        self._evict([other for other in self._models if other != key], "out of memory")
        empty_caches()

    def evict_idle(self, idle_s: float) -> bool:
        """Evict the models that were not used for so long; return whether there were any."""
        since = monotonic() - idle_s
        idle = [key for key, resident in self._models.items() if resident.last_used <= since]
        self._evict(idle, "idle")
        return bool(idle)

    def _add(self, wanted: TaskSpec, module: TaskModule, spec: Any) -> None:
        """Load a model. Others are evicted before, for its files' size, and after, for its own."""
        expected_bytes = self._files.size_bytes(wanted)
        self._make_room(expected_bytes)
        before = allocated_bytes(self._runtime.device_name)
        try:
            model = self._load(wanted, module, spec, expected_bytes)
        except ModelUnavailable as error:
            self._files.failed(wanted, str(error))
            raise
        self._files.loaded(wanted)
        # If others had to go meanwhile, the difference is too small.
        on_device = allocated_bytes(self._runtime.device_name) - before
        size_bytes = max(on_device, model_bytes(model)) or expected_bytes
        self._make_room(size_bytes)
        self._models[wanted.model_key] = _Resident(model, size_bytes, monotonic())
        about = {"model": wanted.model_key, "mb": size_bytes // MB, "all_mb": self.size_bytes // MB}
        log.info("model loaded", extra=about)

    def _make_room(self, size_bytes: int) -> None:
        """Evict the least recently used models until `size_bytes` more are within the budget."""
        evicted, left = [], self.size_bytes + size_bytes
        for key, resident in self._models.items():
            if left <= self.budget_bytes:
                break
            left -= resident.size_bytes
            evicted.append(key)
        if evicted:
            self._evict(evicted, "MODEL_MEMORY_MB")
            empty_caches()

    def _evict(self, keys: list[str], reason: str) -> None:
        for key in keys:
            size_bytes = self._models.pop(key).size_bytes
            about = {"model": key, "mb": size_bytes // MB, "reason": reason}
            log.info("model evicted", extra=about)

    def _load(self, wanted: TaskSpec, module: TaskModule, spec: Any, expected_bytes: int) -> Model:
        """Load, and again without the other models if there is not enough memory."""
        if (model := self._attempt(wanted, module, spec)) is not None:
            return model
        self.evict_others("")
        if (model := self._attempt(wanted, module, spec)) is not None:
            return model
        empty_caches()
        device = self._runtime.device_name
        memory = "main memory" if device == "cpu" else "GPU memory"
        needed = f"Its files have {expected_bytes // MB} MB; " if expected_bytes else ""
        raise ModelUnavailable(
            f"{wanted.model_key} cannot be loaded: there is not enough {memory} for it. {needed}"
            f"{free_bytes(device) // MB} MB are free, with no other model of this worker loaded. "
            f"Request a smaller model, or run the service with more {memory}"
        )

    def _attempt(self, wanted: TaskSpec, module: TaskModule, spec: Any) -> Model | None:
        """The model, or None if there is not enough memory. Raises errors of the device as is."""
        try:
            return module.load(spec, self._runtime)
        except InvalidSpec:
            raise
        except (ModelUnavailable, MemoryError, *UNLOADABLE) as error:
            fault = fault_of(error)
            if fault is Fault.OUT_OF_MEMORY:
                about = {"model": wanted.model_key, "reason": str(error)}
                log.warning("out of device memory while loading", extra=about)
                return None
            if fault is Fault.DEVICE_FAILED or isinstance(error, ModelUnavailable):
                raise
            raise ModelUnavailable(
                f"{wanted.model_key} cannot be loaded, its file is damaged or of another kind: "
                f"{error}"
            ) from error
